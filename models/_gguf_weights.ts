// The tensors of a GGUF file under the names, and in the row order, of a Hugging Face checkpoint.
import {
  type GgufReader,
  readGgufQuantized,
  type TensorInfo,
  tensorInfo,
  type TensorReader,
} from "../io/mod.ts";
import type { Backend } from "../kernels/mod.ts";
import { CodebookLinear, type Linear } from "../ops/mod.ts";
import { encodeArray, float16 } from "../formats/mod.ts";
import type { ModelConfig } from "./config.ts";
import { type LayerPlace, selectQuantizedRows } from "./restore_linear.ts";

const OUTER_NAMES: Readonly<Record<string, string>> = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
};

const BLOCK_NAMES: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** Types that a checkpoint may hold as they are. Blocks are read as float16 where nothing keeps them quantized. */
const PLAIN_TYPES: ReadonlySet<string> = new Set(["F32", "F16", "BF16"]);

/** A GGUF file as a checkpoint. */
export interface GgufWeights {
  /** Its tensors by Hugging Face names. */
  readonly reader: TensorReader;
  /** A linear layer in the bits of its blocks, or undefined where they have to be dequantized. */
  readonly restore: (place: LayerPlace) => Promise<Linear | undefined>;
}

/** Opens the tensors of a GGUF file as a checkpoint. `interleavedRope`: as its configuration says. */
export function openGgufWeights(
  gguf: GgufReader,
  options: { readonly config: ModelConfig; readonly backend: Backend; readonly interleavedRope: boolean },
): GgufWeights {
  const { config, backend, interleavedRope } = options;
  const sources = new Map(Array.from(gguf.tensors.keys(), (name) => [huggingFaceName(name), name]));
  const tensors = new Map(Array.from(sources, ([name, source]) => [name, plainInfo(gguf, name, source)]));
  const sourceOf = (name: string) => {
    tensorInfo({ name: gguf.name, tensors }, name);
    return sources.get(name)!;
  };
  const orderOf = (name: string) => interleavedRope ? halfSplitRows(name, config) : undefined;
  const reader: TensorReader = {
    name: gguf.name,
    metadata: new Map(),
    tensors,
    async readBytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
      const source = sourceOf(name);
      const { type } = gguf.tensors.get(source)!;
      const bytes = PLAIN_TYPES.has(type)
        ? await gguf.readBytes(source)
        : new Uint8Array(encodeArray(float16, await gguf.readFloat32(source)).buffer);
      const order = orderOf(name);
      return order ? reorder(bytes, order) : bytes;
    },
    async readFloat32(name: string): Promise<Float32Array<ArrayBuffer>> {
      const values = await gguf.readFloat32(sourceOf(name));
      const order = orderOf(name);
      return order ? new Float32Array(reorder(new Uint8Array(values.buffer), order).buffer) : values;
    },
    close: () => gguf.close(),
    [Symbol.asyncDispose]: () => gguf.close(),
  };
  const restore = async (place: LayerPlace): Promise<Linear | undefined> => {
    const name = `${place.module}.weight`;
    const weight = sources.has(name) && await readGgufQuantized(gguf, sources.get(name)!);
    if (!weight) return undefined;
    const order = orderOf(name);
    const bias = `${place.module}.bias`;
    return new CodebookLinear(
      backend,
      order ? selectQuantizedRows(weight, order) : weight,
      tensors.has(bias) ? await reader.readFloat32(bias) : undefined,
    );
  };
  return { reader, restore };
}

/** `blk.3.attn_q.weight` is `model.layers.3.self_attn.q_proj.weight`; a name without a counterpart stays. */
function huggingFaceName(name: string): string {
  const [, layer, module, kind] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (layer === undefined) {
    return Object.hasOwn(OUTER_NAMES, module) ? `${OUTER_NAMES[module]}.${kind}` : name;
  }
  return Object.hasOwn(BLOCK_NAMES, module) ? `model.layers.${layer}.${BLOCK_NAMES[module]}.${kind}` : name;
}

function plainInfo(gguf: GgufReader, name: string, source: string): TensorInfo {
  const { type, shape, byteLength } = gguf.tensors.get(source)!;
  if (PLAIN_TYPES.has(type)) return { name, type: type as "F32" | "F16" | "BF16", shape, byteLength };
  return { name, type: "F16", shape, byteLength: shape.reduce((product, size) => product * size, 2) };
}

/**
 * For queries and keys, the row of the file that each row of the checkpoint is: ggml's LLaMA rotates neighbors (2i, 2i + 1)
 * of a head, the checkpoint the pairs (i, i + headSize / 2).
 */
function halfSplitRows(name: string, config: ModelConfig): number[] | undefined {
  const [, projection] = /\.self_attn\.([qk])_proj\./.exec(name) ?? [];
  if (projection === undefined) return undefined;
  const { headSize } = config;
  const heads = projection === "q" ? config.heads : config.kvHeads;
  const half = headSize / 2;
  return Array.from({ length: heads * headSize }, (_, row) => {
    const place = row % headSize;
    return row - place + 2 * (place % half) + Math.floor(place / half);
  });
}

/** The given rows, in their order, of a matrix with as many rows. */
function reorder(bytes: Uint8Array<ArrayBuffer>, rows: readonly number[]): Uint8Array<ArrayBuffer> {
  const stride = bytes.length / rows.length;
  const ordered = new Uint8Array(bytes.length);
  rows.forEach((row, i) => ordered.set(bytes.subarray(row * stride, (row + 1) * stride), i * stride));
  return ordered;
}
