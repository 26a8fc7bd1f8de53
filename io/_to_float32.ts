// Stored elements as float32.
import { bfloat16, decodeArray, float16, float8E4M3, float8E5M2, float8E8M0 } from "../formats/mod.ts";
import type { TensorType } from "./tensor.ts";

/** Converts raw little-endian bytes, which begin at offset 0 of their buffer, to float32. */
export function toFloat32(bytes: Uint8Array<ArrayBuffer>, type: TensorType): Float32Array<ArrayBuffer> {
  const buffer = bytes.buffer;
  switch (type) {
    case "F32":
      return new Float32Array(buffer);
    case "F64":
      return Float32Array.from(new Float64Array(buffer));
    case "F16":
      return decodeArray(float16, new Uint16Array(buffer));
    case "BF16":
      return decodeArray(bfloat16, new Uint16Array(buffer));
    case "F8_E4M3":
      return decodeArray(float8E4M3, bytes);
    case "F8_E5M2":
      return decodeArray(float8E5M2, bytes);
    case "F8_E8M0":
      return decodeArray(float8E8M0, bytes);
    case "I8":
      return Float32Array.from(new Int8Array(buffer));
    case "I16":
      return Float32Array.from(new Int16Array(buffer));
    case "U16":
      return Float32Array.from(new Uint16Array(buffer));
    case "I32":
      return Float32Array.from(new Int32Array(buffer));
    case "U32":
      return Float32Array.from(new Uint32Array(buffer));
    case "I64":
      return Float32Array.from(new BigInt64Array(buffer), Number);
    case "U64":
      return Float32Array.from(new BigUint64Array(buffer), Number);
    case "BOOL":
    case "U8":
      return Float32Array.from(bytes);
  }
}
