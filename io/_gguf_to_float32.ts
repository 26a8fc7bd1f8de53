// GGUF tensors as float32.
import {
  bfloat16,
  type BlockFormat,
  decodeArray,
  float16,
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
import type { GgufTensorInfo } from "./gguf_reader.ts";
import type { GgufType } from "./gguf_types.ts";
import { elementCount } from "./tensor.ts";

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

/** Converts raw bytes, which begin at offset 0 of their buffer, to float32. */
export function ggufToFloat32(
  bytes: Uint8Array<ArrayBuffer>,
  info: GgufTensorInfo,
): Float32Array<ArrayBuffer> {
  const { buffer } = bytes;
  const format = BLOCK_FORMATS[info.type];
  if (format) return format.dequantize(bytes, elementCount(info.shape));
  switch (info.type) {
    case "F32":
      return new Float32Array(buffer);
    case "F64":
      return Float32Array.from(new Float64Array(buffer));
    case "F16":
      return decodeArray(float16, new Uint16Array(buffer));
    case "BF16":
      return decodeArray(bfloat16, new Uint16Array(buffer));
    case "I8":
      return Float32Array.from(new Int8Array(buffer));
    case "I16":
      return Float32Array.from(new Int16Array(buffer));
    case "I32":
      return Float32Array.from(new Int32Array(buffer));
    case "I64":
      return Float32Array.from(new BigInt64Array(buffer), Number);
    default:
      throw new TypeError(
        `Cannot read tensor ${info.name} as float32: its type ${info.type} is not supported`,
      );
  }
}
