// QUIK's per-token activation quantization with the split of outlier columns.
import { maxf } from "./simd";

/** Rounds to the nearest float16, ties to even, finite values saturating. */
function toHalf(value: f32): u32 {
  const bits = reinterpret<u32>(value);
  const size = bits & 0x7fffffff;
  const sign = (bits >> 16) & 0x8000;
  if (size > 0x7f800000) return sign | 0x7e00;
  if (size >= 0x477ff000) return sign | 0x7bff;
  // Below the normal range: adding 0.5 leaves the rounded subnormal in the last bits.
  if (size < 0x38800000) return sign | (reinterpret<u32>(reinterpret<f32>(size) + 0.5) - 0x3f000000);
  return sign | ((size - 0x38000000 + 0xfff + ((size >> 13) & 1)) >> 13);
}

/** Scratch holds one gathered row. */
export function quantize_activations(
  begin: i32, end: i32, scratch: usize,
  x: usize, baseColumns: usize, outlierColumns: usize, codes: usize, qparams: usize, outlierValues: usize,
  columns: i32, outliers: i32, bits: i32,
): void {
  const base = columns - outliers;
  const steps: f32 = bits == 4 ? 15 : 255;
  const codeBytes = ((base * bits + 127) >> 7) << 4;
  const outlierBytes = ((outliers + 7) >> 3) << 4;
  for (let row = begin; row < end; row++) {
    const src = x + 4 * row * columns;
    const padded = gatherRow(scratch, src, baseColumns, base);
    let low = f32x4.splat(Infinity);
    let high = f32x4.splat(-Infinity);
    for (let i = 0; i < padded; i += 4) {
      const v = v128.load(scratch + 4 * i);
      low = f32x4.pmin(low, v);
      high = f32x4.pmax(high, v);
    }
    const zero: f32 = base ? -maxf(f32x4.neg(low)) : 0;
    const range: f32 = base ? maxf(high) - zero : 0;
    const scale: f32 = max(range / steps, <f32> 1e-6);
    store<f32>(qparams + 8 * row, scale);
    store<f32>(qparams + 8 * row, zero, 4);
    if (bits == 4) packRow4(codes + codeBytes * row, scratch, base, scale, zero);
    else packRow8(codes + codeBytes * row, scratch, base, scale, zero);
    const dst = outlierValues + outlierBytes * row;
    for (let i = 0; i < outliers; i++) store<u16>(dst + 2 * i, toHalf(load<f32>(src + 4 * load<u32>(outlierColumns + 4 * i))));
    for (let i = 2 * outliers; i < <i32> outlierBytes; i += 2) store<u16>(dst + i, 0);
  }
}

/** Gathers `count` values and repeats the first to a multiple of 32, so that padding changes no extreme. Returns the padded count. */
function gatherRow(dst: usize, src: usize, columns: usize, count: i32): i32 {
  for (let i = 0; i < count; i++) store<f32>(dst + 4 * i, load<f32>(src + 4 * load<u32>(columns + 4 * i)));
  const padded = (count + 31) & ~31;
  for (let i = count; i < padded; i++) store<f32>(dst + 4 * i, load<f32>(dst));
  return padded;
}

/** Levels of four values: clamp(round((x - zero) / scale), 0, top). */
// @ts-ignore: decorator
@inline
function levels(src: usize, scale: v128, zero: v128, top: v128): v128 {
  const level = f32x4.nearest(f32x4.div(f32x4.sub(v128.load(src), zero), scale));
  return i32x4.trunc_sat_f32x4_s(f32x4.pmax(f32x4.pmin(level, top), f32x4.splat(0)));
}

/** Levels of sixteen values as bytes. */
// @ts-ignore: decorator
@inline
function levels16(src: usize, scale: v128, zero: v128, top: v128): v128 {
  const low = i16x8.narrow_i32x4_s(levels(src, scale, zero, top), levels(src + 16, scale, zero, top));
  const high = i16x8.narrow_i32x4_s(levels(src + 32, scale, zero, top), levels(src + 48, scale, zero, top));
  return i8x16.narrow_i16x8_u(low, high);
}

/** A level becomes a signed code when its top bit is flipped. */
function packRow4(dst: usize, src: usize, count: i32, scale_: f32, zero_: f32): void {
  const scale = f32x4.splat(scale_), zero = f32x4.splat(zero_), top = f32x4.splat(15);
  for (let i = 0; i < count; i += 32) {
    const a = levels16(src + 4 * i, scale, zero, top);
    const b = levels16(src + 4 * i + 64, scale, zero, top);
    const even = v128.shuffle<i8>(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const odd = v128.shuffle<i8>(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    v128.store(dst, v128.xor(v128.or(even, i16x8.shl(odd, 4)), i8x16.splat(<i8> 0x88)));
    dst += 16;
  }
  clearEnd(dst, count & 31, 1);
}

function packRow8(dst: usize, src: usize, count: i32, scale_: f32, zero_: f32): void {
  const scale = f32x4.splat(scale_), zero = f32x4.splat(zero_), top = f32x4.splat(255);
  for (let i = 0; i < count; i += 16) {
    v128.store(dst, v128.xor(levels16(src + 4 * i, scale, zero, top), i8x16.splat(<i8> 0x80)));
    dst += 16;
  }
  clearEnd(dst, count & 15, 0);
}

/** Zeroes what lies past the first `used` codes of the last 16 bytes before `end`; `halves` is 1 for two codes per byte. */
function clearEnd(end: usize, used: i32, halves: i32): void {
  if (used == 0) return;
  const last = end - 16;
  let bytes = used >> halves;
  if (halves && (used & 1)) {
    store<u8>(last + bytes, load<u8>(last + bytes) & 15);
    bytes++;
  }
  for (; bytes < 16; bytes++) store<u8>(last + bytes, 0);
}
