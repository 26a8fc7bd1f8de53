// GGUF tensors as float32.
import {
  type BlockFormat,
  ggmlMxfp4,
  ggmlNvfp4,
  iq4_nl,
  q4_0,
  q4_1,
  q4_K,
  q5_0,
  q5_1,
  q6_K,
  q8_0,
} from "../formats/mod.ts";
import { toFloat32 } from "./_to_float32.ts";
import type { GgufTensorInfo } from "./gguf_types.ts";
import type { GgufType } from "./gguf_types.ts";
import { elementCount, type TensorType } from "./tensor.ts";

/** The block types that can be dequantized. */
const BLOCK_FORMATS: Partial<Record<GgufType, BlockFormat>> = {
  Q4_0: q4_0,
  Q4_1: q4_1,
  Q5_0: q5_0,
  Q5_1: q5_1,
  Q8_0: q8_0,
  Q4_K: q4_K,
  Q6_K: q6_K,
  IQ4_NL: iq4_nl,
  MXFP4: ggmlMxfp4,
  NVFP4: ggmlNvfp4,
};

/** The types without blocks, which safetensors spells the same way. */
const PLAIN_TYPES: ReadonlySet<string> = new Set(["F32", "F64", "F16", "BF16", "I8", "I16", "I32", "I64"]);

/** Converts raw bytes, which begin at offset 0 of their buffer, to float32. */
export function ggufToFloat32(
  bytes: Uint8Array<ArrayBuffer>,
  info: GgufTensorInfo,
): Float32Array<ArrayBuffer> {
  const { name, type, shape } = info;
  const format = BLOCK_FORMATS[type];
  if (format) return format.dequantize(bytes, elementCount(shape));
  if (PLAIN_TYPES.has(type)) return toFloat32(bytes, type as TensorType);
  throw new TypeError(`Cannot read tensor ${name} as float32: its type ${type} is not supported`);
}
