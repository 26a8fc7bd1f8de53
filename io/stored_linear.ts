// A quantized linear layer as other tools store it, in this library's terms; which layout it is, the configuration says.
import type { Quantized } from "../quant/mod.ts";
import { readAwqLinear } from "./_awq.ts";
import { readBitsandbytesLinear } from "./_bitsandbytes.ts";
import { readCompressedTensorsLinear } from "./_compressed_tensors.ts";
import { readGptqLinear } from "./_gptq.ts";
import type { TensorReader } from "./tensor.ts";

/** A linear layer with a quantized weight. */
export interface StoredLinear {
  /** `[outputs, inputs]`. */
  readonly weight: Quantized;
  /** `[outputs]`. */
  readonly bias?: Float32Array<ArrayBuffer>;
}

/** Reads a layer of one layout, or gives undefined where the checkpoint keeps it dense. */
export type StoredLinearReader = (
  reader: TensorReader,
  name: string,
  config: Readonly<Record<string, unknown>>,
) => Promise<Quantized | undefined>;

const LAYOUTS: Readonly<Record<string, StoredLinearReader>> = {
  gptq: readGptqLinear,
  awq: readAwqLinear,
  "compressed-tensors": readCompressedTensorsLinear,
  bitsandbytes: readBitsandbytesLinear,
};

/**
 * Reads a quantized linear layer of a GPTQ, AWQ (GEMM), compressed-tensors or bitsandbytes checkpoint. Only weights are
 * read: where the layout also describes quantized activations, those are for the caller to apply or leave.
 *
 * @param reader The checkpoint.
 * @param name Full module name, such as `model.layers.0.mlp.down_proj`.
 * @param config `quantization_config` of `config.json`, as parsed.
 * @returns The layer, or undefined where the checkpoint keeps it dense.
 * @throws {TypeError} If the method is unknown, or the layout has a variant that is not supported.
 * @throws {RangeError} If a tensor is missing, has the wrong type or shape, or holds a scale that is not finite.
 */
export async function readStoredLinear(
  reader: TensorReader,
  name: string,
  config: unknown,
): Promise<StoredLinear | undefined> {
  const fields = (typeof config === "object" && config !== null ? config : {}) as Record<string, unknown>;
  const method = fields.quant_method;
  if (typeof method !== "string" || !Object.hasOwn(LAYOUTS, method)) {
    const known = Object.keys(LAYOUTS).join(", ");
    throw new TypeError(
      `Cannot read quantization_config: the method ${JSON.stringify(method)} is none of quik, ${known}`,
    );
  }
  const weight = await LAYOUTS[method](reader, name, fields);
  if (!weight) return undefined;
  const bias = `${name}.bias`;
  return { weight, bias: reader.tensors.has(bias) ? await reader.readFloat32(bias) : undefined };
}
