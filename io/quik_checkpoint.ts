// How a QUIK layer lies in a checkpoint: a few named tensors beside each other, and one entry of `quantization_config`.
//
//   NAME.weight_packed    U8  [outputs, ceil(K * bits / 8)]  signed codes of the base columns, low nibble first
//   NAME.weight_scale     F32 [outputs]
//   NAME.weight_reduced   F32 [outputs]                      row sums of the dequantized base weights
//   NAME.outlier_indices  I32 [F]                            ascending; the base columns are all others
//   NAME.outlier_weight   F16 [outputs, F]
//   NAME.bias             F32 [outputs]                      where the layer has one
import { decodeArray, encodeArray, float16, pack, signExtend, unpack } from "../formats/mod.ts";
import { baseColumns, createMatrix, type QuikWeights } from "../quant/mod.ts";
import type { TensorToWrite } from "./safetensors_writer.ts";
import { readTyped } from "./_read_typed.ts";
import { tensorInfo, type TensorReader, type TensorType } from "./tensor.ts";

/** What `quantization_config` says of one QUIK layer. */
export interface QuikModule {
  /** Bits of weights and activations. */
  readonly bits: 4 | 8;
  /** Input features, outliers included. */
  readonly inputs: number;
}

/** `quantization_config` of a QUIK checkpoint. */
export interface QuikCheckpointConfig {
  /** Names the layout. */
  readonly quant_method: "quik";
  /** Version of the layout. */
  readonly version: 1;
  /** The quantized layers by full module name; all others are stored as they were. */
  readonly modules: Readonly<Record<string, QuikModule>>;
}

/** A QUIK layer as it is stored. */
export interface StoredQuikLayer {
  /** Codes, scales and outlier columns. */
  readonly weights: QuikWeights;
  /** `[outputs]`. */
  readonly bias?: Float32Array<ArrayBuffer>;
}

/**
 * The tensors of one layer.
 *
 * @param name Full module name.
 * @param layer The layer.
 * @returns What to write.
 */
export function quikTensors(name: string, layer: StoredQuikLayer): TensorToWrite[] {
  const { bits, codes, scales, reduced, baseIndices, outlierIndices, outlierWeight } = layer.weights;
  const outputs = scales.length;
  const rowBytes = Math.ceil(baseIndices.length * bits / 8);
  const tensors: TensorToWrite[] = [
    {
      name: `${name}.weight_packed`,
      type: "U8",
      shape: [outputs, rowBytes],
      data: pack(codes, bits, { shape: [outputs, baseIndices.length] }),
    },
    { name: `${name}.weight_scale`, type: "F32", shape: [outputs], data: scales },
    { name: `${name}.weight_reduced`, type: "F32", shape: [outputs], data: reduced },
    {
      name: `${name}.outlier_indices`,
      type: "I32",
      shape: [outlierIndices.length],
      data: Int32Array.from(outlierIndices),
    },
    {
      name: `${name}.outlier_weight`,
      type: "F16",
      shape: [outputs, outlierIndices.length],
      data: Uint16Array.from(encodeArray(float16, outlierWeight.data)),
    },
  ];
  if (layer.bias) tensors.push({ name: `${name}.bias`, type: "F32", shape: [outputs], data: layer.bias });
  return tensors;
}

/**
 * Reads `quantization_config` of a QUIK checkpoint.
 *
 * @param config The member of `config.json`, as parsed.
 * @returns The same, checked.
 * @throws {TypeError} If method or version are unknown, or a module is malformed.
 */
export function readQuikConfig(config: unknown): QuikCheckpointConfig {
  const { quant_method: method, version, modules } = (config ?? {}) as Record<string, unknown>;
  if (method !== "quik") {
    throw new TypeError(`Cannot read quantization_config: the method ${JSON.stringify(method)} is unknown`);
  }
  if (version !== 1) throw new TypeError(`Cannot read quantization_config: version ${version} is unknown`);
  if (typeof modules !== "object" || modules === null) {
    throw new TypeError("Cannot read quantization_config: it has no modules");
  }
  for (const [name, module] of Object.entries(modules as Record<string, Partial<QuikModule>>)) {
    if ((module?.bits !== 4 && module?.bits !== 8) || !Number.isInteger(module.inputs)) {
      throw new TypeError(`Cannot read quantization_config: module ${name} needs bits (4 or 8) and inputs`);
    }
  }
  return config as QuikCheckpointConfig;
}

/**
 * Reads one layer back.
 *
 * @param reader The checkpoint.
 * @param name Full module name.
 * @param module Its entry in `quantization_config`.
 * @returns The layer.
 * @throws {RangeError} If a tensor is missing, or its type or shape is not that of the layout.
 */
export async function readQuikLayer(
  reader: TensorReader,
  name: string,
  module: QuikModule,
): Promise<StoredQuikLayer> {
  const { bits, inputs } = module;
  const [outputs] = tensorInfo(reader, `${name}.weight_scale`).shape;
  const [outlierCount] = tensorInfo(reader, `${name}.outlier_indices`).shape;
  const count = inputs - outlierCount;
  const read = (suffix: string, type: TensorType, shape: readonly number[]): Promise<ArrayBuffer> =>
    readTyped(reader, `${name}.${suffix}`, { type, shape });
  const packed = await read("weight_packed", "U8", [outputs, Math.ceil(count * bits / 8)]);
  const indices = new Uint32Array(await read("outlier_indices", "I32", [outlierCount]));
  checkIndices(name, indices, inputs);
  const halves = new Uint16Array(await read("outlier_weight", "F16", [outputs, outlierCount]));
  const biasName = `${name}.bias`;
  return {
    weights: {
      bits,
      baseIndices: baseColumns(inputs, indices),
      outlierIndices: indices,
      codes: signExtend(
        unpack(new Uint8Array(packed), bits, outputs * count, { shape: [outputs, count] }),
        bits,
      ),
      scales: new Float32Array(await read("weight_scale", "F32", [outputs])),
      reduced: new Float32Array(await read("weight_reduced", "F32", [outputs])),
      outlierWeight: createMatrix(outputs, outlierCount, decodeArray(float16, halves)),
    },
    bias: reader.tensors.has(biasName) ? new Float32Array(await read("bias", "F32", [outputs])) : undefined,
  };
}

function checkIndices(name: string, indices: Uint32Array<ArrayBuffer>, inputs: number): void {
  for (let i = 0; i < indices.length; i++) {
    if (indices[i] >= inputs || (i > 0 && indices[i] <= indices[i - 1])) {
      throw new RangeError(
        `Cannot read ${name}.outlier_indices: they must ascend below ${inputs}, and entry ${i} is ${
          indices[i]
        }`,
      );
    }
  }
}
