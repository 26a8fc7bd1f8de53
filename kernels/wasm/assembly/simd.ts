// Vector helpers that every kernel shares: multiply-add, 8-bit dot products, reductions, loads of storage types.
// The relaxed build uses fused and native instructions; the plain build spells them out.
import { constant, HALF_LARGEST, HALF_LIFT, HALF_SIGN, HALF_SIZE, INFINITY_BITS } from "./constants";

/** Storage types of a dense weight; the host passes these numbers. */
export const FLOAT32: i32 = 0;
export const FLOAT16: i32 = 1;
export const BFLOAT16: i32 = 2;
/** Codes looked up in a table (`codebook.ts`). */
export const CODEBOOK: i32 = 3;

// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, sum);
  return f32x4.add(f32x4.mul(a, b), sum);
}

/** `a * b + sum` in float64. */
// @ts-ignore: decorator
@inline
export function maddd(a: v128, b: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f64x2.relaxed_madd(a, b, sum);
  return f64x2.add(f64x2.mul(a, b), sum);
}

/** `sum[i] += signed[4i..4i+3] . unsigned[4i..4i+3]`, exact as long as the unsigned bytes are below 128. */
// @ts-ignore: decorator
@inline
export function dot(signed: v128, unsigned: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(signed, unsigned, sum);
  const low = i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(signed), i16x8.extend_low_i8x16_u(unsigned));
  const high = i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(signed), i16x8.extend_high_i8x16_u(unsigned));
  const even = v128.shuffle<i32>(low, high, 0, 2, 4, 6);
  const odd = v128.shuffle<i32>(low, high, 1, 3, 5, 7);
  return i32x4.add(sum, i32x4.add(even, odd));
}

/** Whether `dot` is exact for unsigned bytes up to 255 on this machine; engines fix this once for a whole run. */
export function dot_takes_bytes(signed: i32, unsigned: i32): bool {
  const sum = dot(i8x16.splat(<i8> signed), i8x16.splat(<i8> unsigned), i32x4.splat(0));
  return i32x4.extract_lane(sum, 0) == 4 * signed * unsigned;
}

/** The sums of four float vectors, in order. */
// @ts-ignore: decorator
@inline
export function sums4f(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<i32>(a, b, 0, 1, 4, 5), v128.shuffle<i32>(a, b, 2, 3, 6, 7));
  const cd = f32x4.add(v128.shuffle<i32>(c, d, 0, 1, 4, 5), v128.shuffle<i32>(c, d, 2, 3, 6, 7));
  return f32x4.add(v128.shuffle<i32>(ab, cd, 0, 2, 4, 6), v128.shuffle<i32>(ab, cd, 1, 3, 5, 7));
}

/** The sums of four int32 vectors, in order. */
// @ts-ignore: decorator
@inline
export function sums4i(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 1, 4, 5), v128.shuffle<i32>(a, b, 2, 3, 6, 7));
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 1, 4, 5), v128.shuffle<i32>(c, d, 2, 3, 6, 7));
  return i32x4.add(v128.shuffle<i32>(ab, cd, 0, 2, 4, 6), v128.shuffle<i32>(ab, cd, 1, 3, 5, 7));
}

/** The sum of the four lanes. */
export function sumf(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 2)) + (f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 3));
}

/** The largest of the four lanes. */
export function maxf(v: v128): f32 {
  return max(max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)), max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)));
}

/** Four float16 values in the low halves of int32 lanes, as float32; exact, subnormals and infinities included. */
// @ts-ignore: decorator
@inline
export function half4(h: v128): v128 {
  const size = v128.and(h, constant(HALF_SIZE));
  const scaled = f32x4.mul(i32x4.shl(size, 13), constant(HALF_LIFT));
  const special = v128.and(i32x4.gt_s(size, constant(HALF_LARGEST)), constant(INFINITY_BITS));
  return v128.or(v128.or(scaled, special), i32x4.shl(v128.and(h, constant(HALF_SIGN)), 16));
}

/** Bytes of one value of a storage type. */
// @ts-ignore: decorator
@inline
export function typeBytes(type: i32): usize {
  return type == FLOAT32 ? 4 : 2;
}

/** Four consecutive values of a storage type as float32. */
// @ts-ignore: decorator
@inline
export function load4(src: usize, type: i32): v128 {
  if (type == FLOAT32) return v128.load(src);
  const bits = v128.load_ext<u16>(src);
  return type == FLOAT16 ? half4(bits) : i32x4.shl(bits, 16);
}

/** One value of a storage type as float32. */
export function load1(src: usize, type: i32): f32 {
  if (type == FLOAT32) return load<f32>(src);
  const bits = i32x4.splat(<i32> load<u16>(src));
  return f32x4.extract_lane(type == FLOAT16 ? half4(bits) : i32x4.shl(bits, 16), 0);
}

/** The first `count` of four lanes of what lies at `src`, zeros after them; reads nothing beyond. */
export function loadTail(src: usize, count: i32, type: i32): v128 {
  let v = f32x4.splat(0);
  if (count > 0) v = f32x4.replace_lane(v, 0, load1(src, type));
  if (count > 1) v = f32x4.replace_lane(v, 1, load1(src + typeBytes(type), type));
  if (count > 2) v = f32x4.replace_lane(v, 2, load1(src + 2 * typeBytes(type), type));
  if (count > 3) v = f32x4.replace_lane(v, 3, load1(src + 3 * typeBytes(type), type));
  return v;
}

/** Stores the first `count` (at least 1) of four 32-bit lanes. */
// @ts-ignore: decorator
@inline
export function storeLanes(dst: usize, v: v128, count: i32): void {
  if (count >= 4) {
    v128.store(dst, v);
    return;
  }
  v128.store_lane<i32>(dst, v, 0);
  if (count > 1) v128.store_lane<i32>(dst, v, 1, 4);
  if (count > 2) v128.store_lane<i32>(dst, v, 2, 8);
}
