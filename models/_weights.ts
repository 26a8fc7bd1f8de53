// Takes a checkpoint apart into what architectures ask for: tables, norms and linear layers on a backend, each
// checked, none forgotten.
import type { TensorReader } from "../io/mod.ts";
import type { Backend, DeviceBuffer } from "../kernels/mod.ts";
import {
  DenseLinear,
  DeviceTensor,
  type Linear,
  type NormWeights,
  type StoredMatrix,
  uploadBytes,
  uploadStored,
} from "../ops/mod.ts";
import { createMatrix } from "../quant/mod.ts";
import { type HostMatrix, readStored, selectRows, transpose } from "./_stored.ts";
import type { ModelConfig } from "./config.ts";
import { LinearSlot } from "./linear_slot.ts";
import type { LayerPlace } from "./restore_linear.ts";

/** Tensors that some tools write and no forward here needs: rotary frequencies, attention masks, scales of an 8-bit cache. */
const IGNORED = /(^|\.)(rotary_emb\.inv_freq|attn\.(masked_)?bias|self_attn\.[kv]_scale)$/;

/** Shape of a linear layer in a checkpoint. */
export interface LinearShape {
  readonly outputs: number;
  readonly inputs: number;
  /** Whether there is a `.bias` beside the `.weight`. */
  readonly bias: boolean;
  /** Whether the weight is stored `[inputs, outputs]`. */
  readonly transposed?: boolean;
}

/** What loading takes besides the checkpoint. */
export interface WeightsOptions {
  /** Where they are put. */
  readonly backend: Backend;
  /** Restores a layer that is stored quantized, or gives undefined for one that is dense. */
  readonly restore?: (place: LayerPlace) => Promise<Linear | undefined>;
}

/** The tensors of a checkpoint, each asked for by name and expected shape. */
export class Weights {
  readonly backend: Backend;
  readonly #reader: TensorReader;
  readonly #asked = new Set<string>();
  /** Modules whose tensors a quantized layer accounts for, those it needs no more included. */
  readonly #restored = new Set<string>();
  readonly #restore: WeightsOptions["restore"];
  readonly #owned: Disposable[] = [];

  constructor(reader: TensorReader, options: WeightsOptions) {
    this.backend = options.backend;
    this.#restore = options.restore;
    this.#reader = watch(reader, this.#asked);
  }

  /** Whether the checkpoint has a tensor. */
  has(name: string): boolean {
    return this.#reader.tensors.has(name);
  }

  /** An embedding table `[rows, columns]` in its storage type, stored with `skip` unused rows before them. */
  async table(
    name: string,
    shape: { readonly rows: number; readonly columns: number; readonly skip?: number },
  ): Promise<StoredMatrix> {
    const { rows, columns, skip = 0 } = shape;
    const stored = await readStored(this.#reader, name, [rows + skip, columns]);
    const data = stored.data.subarray(skip * columns);
    return this.#keep(uploadStored(this.backend, { data, type: stored.type, rows, columns }));
  }

  /** The layer that gives logits: `lm_head`, or the token table where they are tied. */
  async head(tokens: StoredMatrix, config: ModelConfig): Promise<Linear> {
    if (config.tieWordEmbeddings) return new DenseLinear(tokens);
    const { vocabularySize: outputs } = config;
    return (await this.linear("lm_head", { outputs, inputs: tokens.columns, bias: false })).linear;
  }

  /** A norm: `name.weight`, and `name.bias` if `bias`. */
  async norm(
    name: string,
    columns: number,
    options: { readonly epsilon: number; readonly bias: boolean },
  ): Promise<NormWeights> {
    const { epsilon, bias } = options;
    const weight = await this.#vector(`${name}.weight`, columns);
    return bias
      ? { weight, bias: await this.#vector(`${name}.bias`, columns), epsilon }
      : { weight, epsilon };
  }

  /** A linear layer `name.weight` (and `name.bias`), dense or as a quantized checkpoint keeps it. */
  async linear(name: string, shape: LinearShape): Promise<LinearSlot> {
    const [slot] = await this.fusedLinear(name, shape, { "": null });
    return slot;
  }

  /**
   * The layers of a fused projection, one for each part: `parts` gives the rows of each by the suffix of its name,
   * null for all rows.
   */
  async fusedLinear<Suffix extends string>(
    name: string,
    shape: LinearShape,
    parts: Readonly<Record<Suffix, readonly number[] | null>>,
  ): Promise<LinearSlot[]> {
    const sources = shape.bias ? [`${name}.weight`, `${name}.bias`] : [`${name}.weight`];
    let fused: { weight: HostMatrix; bias?: Float32Array<ArrayBuffer> } | undefined;
    const slots: LinearSlot[] = [];
    for (const [suffix, rows] of Object.entries(parts) as [Suffix, readonly number[] | null][]) {
      const partName = `${name}${suffix}`;
      const restored = await this.#restore?.({ name: partName, module: name, rows });
      if (restored) {
        checkRestored(partName, restored, { outputs: rows?.length ?? shape.outputs, inputs: shape.inputs });
        slots.push(this.#keep(new LinearSlot(partName, restored, sources)));
        this.#restored.add(name);
        continue;
      }
      fused ??= await this.#readLinear(name, shape);
      slots.push(this.#keep(new LinearSlot(partName, this.#upload(fused, rows), sources)));
    }
    return slots;
  }

  /** Throws if the checkpoint has a tensor that nothing asked for: the configuration then describes another model. */
  checkAllUsed(options: { readonly allow?: readonly string[] } = {}): void {
    for (const name of this.#reader.tensors.keys()) {
      if (this.#asked.has(name) || IGNORED.test(name) || options.allow?.includes(name)) continue;
      if (this.#isPartOfRestored(name)) continue;
      throw new RangeError(
        `Cannot load ${this.#reader.name}: it has tensor ${name}, which config.json does not account for`,
      );
    }
  }

  /** Frees everything that was loaded. */
  dispose(): void {
    for (const owned of this.#owned) owned[Symbol.dispose]();
  }

  /** Whether a tensor is called `MODULE.something` (or `MODULE.something.more`) of a restored module. */
  #isPartOfRestored(name: string): boolean {
    for (let dot = name.lastIndexOf("."); dot > 0; dot = name.lastIndexOf(".", dot - 1)) {
      if (this.#restored.has(name.slice(0, dot))) return true;
    }
    return false;
  }

  async #readLinear(
    name: string,
    shape: LinearShape,
  ): Promise<{ weight: HostMatrix; bias?: Float32Array<ArrayBuffer> }> {
    const { outputs, inputs, bias, transposed = false } = shape;
    const stored = transposed ? [inputs, outputs] as const : [outputs, inputs] as const;
    const weight = await readStored(this.#reader, `${name}.weight`, stored);
    return {
      weight: transposed ? transpose(weight) : weight,
      bias: bias ? await this.#readVector(`${name}.bias`, outputs) : undefined,
    };
  }

  #upload(
    fused: { weight: HostMatrix; bias?: Float32Array<ArrayBuffer> },
    rows: readonly number[] | null,
  ): DenseLinear {
    const weight = uploadStored(this.backend, rows ? selectRows(fused.weight, rows) : fused.weight);
    const { bias } = fused;
    if (!bias) return new DenseLinear(weight);
    const selected = rows ? Float32Array.from(rows, (row) => bias[row]) : bias;
    const buffer: DeviceBuffer = uploadBytes(this.backend, selected);
    return new DenseLinear(weight, buffer);
  }

  async #vector(name: string, columns: number): Promise<DeviceTensor> {
    const values = await this.#readVector(name, columns);
    return this.#keep(DeviceTensor.fromMatrix(this.backend, createMatrix(1, columns, values)));
  }

  async #readVector(name: string, length: number): Promise<Float32Array<ArrayBuffer>> {
    await readStored(this.#reader, name, [length]);
    return await this.#reader.readFloat32(name);
  }

  #keep<Owned extends Disposable>(owned: Owned): Owned {
    this.#owned.push(owned);
    return owned;
  }
}

/** The same reader, writing down what is read. */
function watch(reader: TensorReader, asked: Set<string>): TensorReader {
  return {
    ...reader,
    readBytes: (name) => reader.readBytes((asked.add(name), name)),
    readFloat32: (name) => reader.readFloat32((asked.add(name), name)),
  };
}

function checkRestored(
  name: string,
  restored: { readonly outputs: number; readonly inputs: number },
  shape: { readonly outputs: number; readonly inputs: number },
): void {
  if (restored.outputs !== shape.outputs || restored.inputs !== shape.inputs) {
    throw new RangeError(
      `Cannot load ${name}: it was quantized as [${restored.outputs}, ${restored.inputs}], ` +
        `config.json asks for [${shape.outputs}, ${shape.inputs}]`,
    );
  }
}
