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
export {
  bfloat16,
  float16,
  float4E2M1,
  float6E2M3,
  float6E3M2,
  float8E4M3,
  float8E5M2,
  float8E8M0,
} from "./floats.ts";
export { bnbFloat4, type CodebookOptions, defineCodebook, iq4nlLevels } from "./codebook.ts";
export { nf2, nf3, nf4, normalFloatLevels } from "./normal_float.ts";
export { createEncoder, decodeArray, encodeArray, levelsOf } from "./encode_array.ts";
export { pack, type PackingOrder, type PackOptions, signExtend, unpack } from "./pack.ts";
