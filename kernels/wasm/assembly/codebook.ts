// Decoding weights that are codes into a table of levels, with a scale and perhaps a zero point per group.
import { constant, LOW_NIBBLES } from "./constants";
import { half4, madd, sumf } from "./simd";

/** A weight as the host describes it in memory. */
@unmanaged
export class CodebookWeight {
  codes: usize;
  table: usize;
  scales: usize;
  /** 0 for none. */
  zeros: usize;
  bits: i32;
  groupSize: i32;
  groups: i32;
  /** Bytes of a packed row. */
  stride: i32;
  scaleType: i32;
  /** Bytes from the table of one group to the next; 0 where all share one. */
  tableStep: i32;
}

/** The table of a row's first group. */
// @ts-ignore: decorator
@inline
function rowTable(weight: CodebookWeight, column: i32): usize {
  return weight.table + weight.tableStep * weight.groups * column;
}

/** Whether all groups of a row share one table. */
// @ts-ignore: decorator
@inline
function hasRowTable(weight: CodebookWeight): bool {
  return weight.tableStep == 0 || weight.groups == 1;
}

/** Scale types as the host numbers them: float32, float16, float8E4M3, float8E8M0, none (a scale of 1). */
function scaleAt(scales: usize, scaleType: i32, i: usize): f32 {
  if (scaleType == 0) return load<f32>(scales + 4 * i);
  if (scaleType == 4) return 1;
  if (scaleType == 1) return f32x4.extract_lane(half4(i32x4.splat(load<u16>(scales + 2 * i))), 0);
  const byte = <u32> load<u8>(scales + i);
  if (scaleType == 3) {
    if (byte == 255) return f32.NaN;
    return reinterpret<f32>(byte == 0 ? 0x00400000 : byte << 23);
  }
  if ((byte & 0x7f) == 0x7f) return f32.NaN;
  // 2^120 lifts the exponent bias of 7 to 127.
  const size = reinterpret<f32>((byte & 0x7f) << 20) * reinterpret<f32>(0x7b800000);
  return byte & 0x80 ? -size : size;
}

/** Decodes `count` weights of one column from `k` on (a multiple of 8) into float32 `dst`. */
export function codebookRow(dst: usize, weight: CodebookWeight, column: i32, k: i32, count: i32): void {
  const row = weight.codes + weight.stride * column;
  let table = rowTable(weight, column);
  const bits = weight.bits;
  const fast = bits == 4 && hasRowTable(weight) && (weight.groupSize & 31) == 0 && (k & 31) == 0;
  const p0 = plane(table, bits, 0), p1 = plane(table, bits, 1), p2 = plane(table, bits, 2), p3 = plane(table, bits, 3);
  const end = k + count;
  while (k < end) {
    const group = k / weight.groupSize;
    const stop = min(end, (group + 1) * weight.groupSize);
    const at = column * weight.groups + group;
    const scale = scaleAt(weight.scales, weight.scaleType, at);
    const zero: f32 = weight.zeros ? load<f32>(weight.zeros + 4 * at) : 0;
    if (weight.tableStep) table = weight.table + weight.tableStep * at;
    if (fast) {
      const zeros = f32x4.splat(zero), scales = f32x4.splat(scale), low = constant(LOW_NIBBLES);
      for (; k + 32 <= stop; k += 32) {
        const bytes = v128.load(row + (k >> 1));
        const even = v128.and(bytes, low), odd = v128.and(i16x8.shr_u(bytes, 4), low);
        decode16(dst, weaveLow8(even, odd), p0, p1, p2, p3, zeros, scales);
        decode16(dst + 64, weaveHigh8(even, odd), p0, p1, p2, p3, zeros, scales);
        dst += 128;
      }
    }
    if (bits == 4) decodeSome(dst, row, k, stop, table, zero, scale, 4);
    else if (bits == 8) decodeSome(dst, row, k, stop, table, zero, scale, 8);
    else if (bits == 2) decodeSome(dst, row, k, stop, table, zero, scale, 2);
    else decodeSome(dst, row, k, stop, table, zero, scale, 3);
    dst += 4 * (stop - k);
    k = stop;
  }
}

/** Decodes the weights `k..stop` one by one. */
// @ts-ignore: decorator
@inline
function decodeSome(dst: usize, row: usize, k: i32, stop: i32, table: usize, zero: f32, scale: f32, bits: i32): void {
  for (; k < stop; k++) {
    store<f32>(dst, (load<f32>(table + 4 * codeAt(row, k, bits)) - zero) * scale);
    dst += 4;
  }
}

/**
 * The product of x and one column of 4-bit codes whose groups are multiples of 32, summed by group before the scale is
 * applied: the look-up-table product of a single token.
 */
export function codebookDot(x: usize, weight: CodebookWeight, column: i32, inner: i32): f32 {
  const row = weight.codes + weight.stride * column;
  const table = rowTable(weight, column);
  const p0 = plane(table, 4, 0), p1 = plane(table, 4, 1), p2 = plane(table, 4, 2), p3 = plane(table, 4, 3);
  const low = constant(LOW_NIBBLES);
  const zeros = weight.zeros;
  let total = f32x4.splat(0);
  let at = column * weight.groups;
  for (let k = 0; k < inner; at++) {
    const stop = min(inner, k + weight.groupSize);
    let sum = f32x4.splat(0), other = f32x4.splat(0), xs = f32x4.splat(0);
    for (; k + 32 <= stop; k += 32) {
      const bytes = v128.load(row + (k >> 1));
      const even = v128.and(bytes, low), odd = v128.and(i16x8.shr_u(bytes, 4), low);
      const first = weaveLow8(even, odd), second = weaveHigh8(even, odd);
      sum = dot16(x, first, p0, p1, p2, p3, sum);
      other = dot16(x + 64, second, p0, p1, p2, p3, other);
      if (zeros) xs = f32x4.add(xs, f32x4.add(sum16f(x), sum16f(x + 64)));
      x += 128;
    }
    sum = f32x4.add(sum, other);
    for (; k < stop; k++) {
      const v = load<f32>(x);
      sum = f32x4.add(sum, f32x4.replace_lane(f32x4.splat(0), 0, v * load<f32>(table + 4 * codeAt(row, k, 4))));
      xs = f32x4.add(xs, f32x4.replace_lane(f32x4.splat(0), 0, v));
      x += 4;
    }
    if (zeros) sum = f32x4.sub(sum, f32x4.mul(xs, v128.load32_splat(zeros + 4 * at)));
    total = madd(sum, f32x4.splat(scaleAt(weight.scales, weight.scaleType, at)), total);
  }
  return sumf(total);
}

/** Whether `codebookDot` takes a weight. */
export function hasNibbleGroups(weight: CodebookWeight, inner: i32): bool {
  return weight.bits == 4 && hasRowTable(weight) && ((weight.groupSize & 31) == 0 || weight.groupSize >= inner);
}

// @ts-ignore: decorator
@inline
function sum16f(x: usize): v128 {
  return f32x4.add(f32x4.add(v128.load(x), v128.load(x, 16)), f32x4.add(v128.load(x, 32), v128.load(x, 48)));
}

// @ts-ignore: decorator
@inline
function dot16(x: usize, codes: v128, p0: v128, p1: v128, p2: v128, p3: v128, sum: v128): v128 {
  const b0 = lookup(p0, codes), b1 = lookup(p1, codes), b2 = lookup(p2, codes), b3 = lookup(p3, codes);
  const low0 = weaveLow8(b0, b1), low1 = weaveHigh8(b0, b1);
  const high0 = weaveLow8(b2, b3), high1 = weaveHigh8(b2, b3);
  sum = madd(v128.load(x), weaveLow16(low0, high0), sum);
  sum = madd(v128.load(x, 16), weaveHigh16(low0, high0), sum);
  sum = madd(v128.load(x, 32), weaveLow16(low1, high1), sum);
  return madd(v128.load(x, 48), weaveHigh16(low1, high1), sum);
}

/**
 * Byte `index` of each of the 16 entries of a table for 4 bits. Cut into byte planes, a table is looked up 16 codes at a
 * time by one byte shuffle per plane, and the planes are woven together again.
 */
function plane(table: usize, bits: i32, index: i32): v128 {
  if (bits != 4) return i32x4.splat(0);
  const shift = 8 * index;
  const mask = i32x4.splat(255);
  const t0 = v128.load(table), t1 = v128.load(table, 16), t2 = v128.load(table, 32), t3 = v128.load(table, 48);
  const low = i16x8.narrow_i32x4_u(v128.and(i32x4.shr_u(t0, shift), mask), v128.and(i32x4.shr_u(t1, shift), mask));
  const high = i16x8.narrow_i32x4_u(v128.and(i32x4.shr_u(t2, shift), mask), v128.and(i32x4.shr_u(t3, shift), mask));
  return i8x16.narrow_i16x8_u(low, high);
}

// @ts-ignore: decorator
@inline
function weaveLow8(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

// @ts-ignore: decorator
@inline
function weaveHigh8(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

// @ts-ignore: decorator
@inline
function weaveLow16(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

// @ts-ignore: decorator
@inline
function weaveHigh16(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

/** Looks indices below 16 up in a table of bytes. */
// @ts-ignore: decorator
@inline
function lookup(bytes: v128, indices: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(bytes, indices);
  return i8x16.swizzle(bytes, indices);
}

// @ts-ignore: decorator
@inline
function decode16(dst: usize, codes: v128, p0: v128, p1: v128, p2: v128, p3: v128, zero: v128, scale: v128): void {
  const b0 = lookup(p0, codes), b1 = lookup(p1, codes), b2 = lookup(p2, codes), b3 = lookup(p3, codes);
  const low0 = weaveLow8(b0, b1), low1 = weaveHigh8(b0, b1);
  const high0 = weaveLow8(b2, b3), high1 = weaveHigh8(b2, b3);
  v128.store(dst, dequantized(weaveLow16(low0, high0), zero, scale));
  v128.store(dst, dequantized(weaveHigh16(low0, high0), zero, scale), 16);
  v128.store(dst, dequantized(weaveLow16(low1, high1), zero, scale), 32);
  v128.store(dst, dequantized(weaveHigh16(low1, high1), zero, scale), 48);
}

// @ts-ignore: decorator
@inline
function dequantized(level: v128, zero: v128, scale: v128): v128 {
  return f32x4.mul(f32x4.sub(level, zero), scale);
}

// @ts-ignore: decorator
@inline
function codeAt(row: usize, k: i32, bits: i32): u32 {
  if (bits == 8) return load<u8>(row + k);
  if (bits == 4) return (load<u8>(row + (k >> 1)) >> <u8> ((k & 1) << 2)) & 15;
  if (bits == 2) return (load<u8>(row + (k >> 2)) >> <u8> ((k & 3) << 1)) & 3;
  const bit = k * 3;
  // A code that ends in the last byte of its row does not need the next one: the shift leaves nothing of it.
  return (<u32> load<u16>(row + (bit >> 3)) >> (bit & 7)) & 7;
}
