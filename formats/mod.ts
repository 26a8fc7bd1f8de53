/**
 * Number formats: what a code means. Integer, float and codebook formats, block formats and bit packing, as pure
 * functions on numbers and typed arrays.
 *
 * @module
 */
export type { ByteFormat, CodeArray, EncodeOptions, NumberFormat, WordFormat } from "./number_format.ts";
export { roundHalfAway, roundHalfEven, type Rounding } from "./round.ts";
export {
  defineInteger,
  int2,
  int3,
  int4,
  int8,
  type IntegerOptions,
  uint2,
  uint3,
  uint4,
  uint8,
} from "./integer.ts";
export { defineFloat, type FloatOptions, type FloatSpecials } from "./float.ts";
export { bfloat16, float16 } from "./floats.ts";
export { decodeArray, encodeArray, levelsOf } from "./encode_array.ts";
export { pack, type PackingOrder, type PackOptions, signExtend, unpack } from "./pack.ts";
