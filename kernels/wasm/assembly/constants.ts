// Vector constants, kept in memory: engines build a constant anew at each use inside a loop, which costs several
// instructions where a broadcast load costs one.

const TABLE = memory.data<u32>([
  0x0f0f0f0f, 0x88888888, 0x80808080, 0x7f7f7f7f, 0x01010101, // byte masks
  0x7fff, 0x7bff, 0x8000, 0x77800000, 0x7f800000, // float16: size, largest finite, sign, 2^112, infinity
  0x42b0999a, 0xc2ae999a, 0x3fb8aa3b, 0x4b400000, 0xbf318000, 0x395e8083, // exp: 88.3, -87.3, log2(e), 1.5 * 2^23, -ln 2 in two parts
  0x39506967, 0x3ab743ce, 0x3c088908, 0x3d2aa9c1, 0x3e2aaaaa, 0x3f000000, // exp: coefficients, highest power first
  0x3f800000, // 1
  0x40404040, // byte mask
]);

export const LOW_NIBBLES: i32 = 0;
export const FLIP_NIBBLES: i32 = 1;
export const FLIP_BYTES: i32 = 2;
export const SEVEN_BITS: i32 = 3;
export const ONE_BIT: i32 = 4;
export const HALF_SIZE: i32 = 5;
export const HALF_LARGEST: i32 = 6;
export const HALF_SIGN: i32 = 7;
export const HALF_LIFT: i32 = 8;
export const INFINITY_BITS: i32 = 9;
export const EXP_HIGHEST: i32 = 10;
export const EXP_LOWEST: i32 = 11;
export const LOG2_E: i32 = 12;
export const ROUNDER: i32 = 13;
export const LN2_UPPER: i32 = 14;
export const LN2_LOWER: i32 = 15;
export const EXP_POLYNOMIAL: i32 = 16;
export const ONE: i32 = 22;
export const BYTES_OF_64: i32 = 23;

/** A constant of the table in all four lanes. */
// @ts-ignore: decorator
@inline
export function constant(index: i32): v128 {
  return v128.load32_splat(TABLE + 4 * index);
}
