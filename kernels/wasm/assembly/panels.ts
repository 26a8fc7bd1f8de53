// Packing float matrices into the panels that `micro.ts` reads, with conversion of the storage type on the way.
import { floatSteps, MR, ROW_STEP } from "./micro";
import { BFLOAT16, FLOAT16, FLOAT32, load4, loadTail, typeBytes } from "./simd";

/** Writes one row into a panel: 16 bytes every `step` bytes, zeros to the end of the last pair of vectors. */
export function packRow(dst: usize, src: usize, count: i32, step: i32, type: i32): void {
  if (type == FLOAT32) packRowOf(dst, src, count, step, FLOAT32);
  else if (type == FLOAT16) packRowOf(dst, src, count, step, FLOAT16);
  else packRowOf(dst, src, count, step, BFLOAT16);
}

// @ts-ignore: decorator
@inline
function packRowOf(dst: usize, src: usize, count: i32, step: i32, type: i32): void {
  const whole = count >> 2;
  for (let i = 0; i < whole; i++) {
    v128.store(dst, load4(src, type));
    src += 4 * typeBytes(type);
    dst += step;
  }
  if (count & 3) {
    v128.store(dst, loadTail(src, count & 3, type));
    dst += step;
  }
  if (((count + 3) & 4) == 0) return;
  v128.store(dst, f32x4.splat(0));
}

/** Writes zeros in the place of a row. */
export function packZeros(dst: usize, count: i32, step: i32): void {
  for (let i = 0; i < floatSteps(count); i++) {
    v128.store(dst, f32x4.splat(0));
    dst += step;
  }
}

/** Packs four whole rows side by side: four streams hide the latency of memory, one would not. */
// @ts-ignore: decorator
@inline
function packFour(dst: usize, src: usize, stride: usize, count: i32, type: i32): void {
  const size = typeBytes(type);
  let s0 = src, s1 = src + stride, s2 = src + 2 * stride, s3 = src + 3 * stride;
  let k = 0;
  for (; k + 8 <= count; k += 8) {
    v128.store(dst, load4(s0, type));
    v128.store(dst, load4(s0 + 4 * size, type), 64);
    v128.store(dst, load4(s1, type), 16);
    v128.store(dst, load4(s1 + 4 * size, type), 80);
    v128.store(dst, load4(s2, type), 32);
    v128.store(dst, load4(s2 + 4 * size, type), 96);
    v128.store(dst, load4(s3, type), 48);
    v128.store(dst, load4(s3 + 4 * size, type), 112);
    dst += 128;
    s0 += 8 * size;
    s1 += 8 * size;
    s2 += 8 * size;
    s3 += 8 * size;
  }
  if (k < count) {
    packRowOf(dst, s0, count - k, 64, type);
    packRowOf(dst + 16, s1, count - k, 64, type);
    packRowOf(dst + 32, s2, count - k, 64, type);
    packRowOf(dst + 48, s3, count - k, 64, type);
  }
}

/**
 * Packs `width` rows of `count` values, `stride` bytes apart, into one panel; rows from `rows` on are zeros.
 */
export function packTile(
  dst: usize, src: usize, stride: usize, rows: i32, width: i32, count: i32, type: i32,
): void {
  if (width == 4 && rows >= 4) {
    if (type == FLOAT32) packFour(dst, src, stride, count, FLOAT32);
    else if (type == FLOAT16) packFour(dst, src, stride, count, FLOAT16);
    else packFour(dst, src, stride, count, BFLOAT16);
    return;
  }
  for (let r = 0; r < width; r++) {
    if (r < rows) packRow(dst + 16 * r, src + stride * r, count, 16 * width, type);
    else packZeros(dst + 16 * r, count, 16 * width);
  }
}

/** As `packTile`, of the transposed matrix: the panel's rows are `width` adjacent columns of float32 `src`. */
export function packTransposed(
  dst: usize, src: usize, stride: usize, columns: i32, width: i32, count: i32,
): void {
  for (let k = 0; k < 4 * floatSteps(count); k += 4) {
    for (let c = 0; c < width; c++) {
      const at = src + stride * k + 4 * c;
      v128.store(dst, c < columns && k < count ? loadColumn(at, stride, count - k) : f32x4.splat(0));
      dst += 16;
    }
  }
}

function loadColumn(src: usize, stride: usize, count: i32): v128 {
  let v = f32x4.splat(load<f32>(src));
  v = f32x4.replace_lane(v, 1, count > 1 ? load<f32>(src + stride) : 0);
  v = f32x4.replace_lane(v, 2, count > 2 ? load<f32>(src + 2 * stride) : 0);
  return f32x4.replace_lane(v, 3, count > 3 ? load<f32>(src + 3 * stride) : 0);
}

/** Packs the row tiles `begin..end` of a float matrix `[rows, inner]` whose rows lie `stride` bytes apart. */
export function pack_rows(
  begin: i32, end: i32, _scratch: usize, src: usize, stride: usize, rows: i32, inner: i32, type: i32, panels: usize,
): void {
  const tileBytes = floatSteps(inner) * ROW_STEP;
  for (let t = begin; t < end; t++) {
    packTile(panels + tileBytes * t, src + stride * (t * MR), stride, rows - t * MR, MR, inner, type);
  }
}
