// The inner loops of every product: a tile of 3 rows by 4 columns over packed panels.
//
// A row panel holds, per step, 16 bytes of each of 3 rows; a column panel 16 bytes of each of 4 columns. Each of the
// 12 accumulators keeps four partial sums along the reduction, so neither operand is broadcast or transposed; they are
// summed across once at the end. 12 accumulators and their operands are what 16 vector registers hold. Steps come in
// pairs, so that the loops' own instructions do not hold the products up; panels are padded with zeros to an even number.
import { dot, madd, sums4f, sums4i } from "./simd";

/** Rows of a tile. */
export const MR: i32 = 3;
/** Columns of a tile. */
export const NR: i32 = 4;
/** Bytes of one step of a row panel and of a column panel. */
export const ROW_STEP: i32 = 16 * MR;
export const COLUMN_STEP: i32 = 16 * NR;

/** Steps of a panel of `count` floats. */
export function floatSteps(count: i32): i32 {
  return ((count + 7) >> 3) << 1;
}

/** `tile[3][4] = a . w` in float32. */
export function tileF32(a: usize, w: usize, steps: i32, tile: usize): void {
  tileFloat(a, w, steps, tile, false);
}

/**
 * `tile[4][3][4]` = 3 rows by 16 columns in float32, for short reductions: rows are broadcast from a panel of 3 floats per
 * step and columns lie 16 to a step, so that nothing is summed across at the end.
 */
export function tileWide(a: usize, w: usize, steps: i32, tile: usize): void {
  tileFloat(a, w, steps, tile, true);
}

// @ts-ignore: decorator
@inline
function tileFloat(a: usize, w: usize, steps: i32, tile: usize, wide: bool): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c02 = f32x4.splat(0), c03 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0), c12 = f32x4.splat(0), c13 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c22 = f32x4.splat(0), c23 = f32x4.splat(0);
  for (let i = 0; i < steps; i += 2) {
    const a00 = wide ? v128.load32_splat(a) : v128.load(a);
    const a01 = wide ? v128.load32_splat(a, 4) : v128.load(a, 16);
    const a02 = wide ? v128.load32_splat(a, 8) : v128.load(a, 32);
    const w00 = v128.load(w);
    c00 = madd(a00, w00, c00);
    c10 = madd(a01, w00, c10);
    c20 = madd(a02, w00, c20);
    const w01 = v128.load(w, 16);
    c01 = madd(a00, w01, c01);
    c11 = madd(a01, w01, c11);
    c21 = madd(a02, w01, c21);
    const w02 = v128.load(w, 32);
    c02 = madd(a00, w02, c02);
    c12 = madd(a01, w02, c12);
    c22 = madd(a02, w02, c22);
    const w03 = v128.load(w, 48);
    c03 = madd(a00, w03, c03);
    c13 = madd(a01, w03, c13);
    c23 = madd(a02, w03, c23);
    const a10 = wide ? v128.load32_splat(a, 12) : v128.load(a, 48);
    const a11 = wide ? v128.load32_splat(a, 16) : v128.load(a, 64);
    const a12 = wide ? v128.load32_splat(a, 20) : v128.load(a, 80);
    const w10 = v128.load(w, 64);
    c00 = madd(a10, w10, c00);
    c10 = madd(a11, w10, c10);
    c20 = madd(a12, w10, c20);
    const w11 = v128.load(w, 80);
    c01 = madd(a10, w11, c01);
    c11 = madd(a11, w11, c11);
    c21 = madd(a12, w11, c21);
    const w12 = v128.load(w, 96);
    c02 = madd(a10, w12, c02);
    c12 = madd(a11, w12, c12);
    c22 = madd(a12, w12, c22);
    const w13 = v128.load(w, 112);
    c03 = madd(a10, w13, c03);
    c13 = madd(a11, w13, c13);
    c23 = madd(a12, w13, c23);
    a += wide ? 8 * MR : 2 * ROW_STEP;
    w += 2 * COLUMN_STEP;
  }
  if (wide) {
    store3(tile, c00, c10, c20);
    store3(tile + 48, c01, c11, c21);
    store3(tile + 96, c02, c12, c22);
    store3(tile + 144, c03, c13, c23);
  } else store3(tile, sums4f(c00, c01, c02, c03), sums4f(c10, c11, c12, c13), sums4f(c20, c21, c22, c23));
}

// @ts-ignore: decorator
@inline
function store3(dst: usize, a: v128, b: v128, c: v128): void {
  v128.store(dst, a);
  v128.store(dst, b, 16);
  v128.store(dst, c, 32);
}

/**
 * `tile[3][4] = a . w` in int32, of signed bytes `a` and unsigned bytes `w`. With `passes` 2, `w` holds the upper seven
 * bits of each byte in a first panel and the lowest bit in a second: the sum of the first is doubled before the second.
 */
export function tileI32(a: usize, w: usize, steps: i32, passes: i32, tile: usize): void {
  let c00 = i32x4.splat(0), c01 = i32x4.splat(0), c02 = i32x4.splat(0), c03 = i32x4.splat(0);
  let c10 = i32x4.splat(0), c11 = i32x4.splat(0), c12 = i32x4.splat(0), c13 = i32x4.splat(0);
  let c20 = i32x4.splat(0), c21 = i32x4.splat(0), c22 = i32x4.splat(0), c23 = i32x4.splat(0);
  const rows = a;
  while (true) {
    for (let i = 0; i < steps; i += 2) {
      const a00 = v128.load(a), a01 = v128.load(a, 16), a02 = v128.load(a, 32);
      const w00 = v128.load(w);
      c00 = dot(a00, w00, c00);
      c10 = dot(a01, w00, c10);
      c20 = dot(a02, w00, c20);
      const w01 = v128.load(w, 16);
      c01 = dot(a00, w01, c01);
      c11 = dot(a01, w01, c11);
      c21 = dot(a02, w01, c21);
      const w02 = v128.load(w, 32);
      c02 = dot(a00, w02, c02);
      c12 = dot(a01, w02, c12);
      c22 = dot(a02, w02, c22);
      const w03 = v128.load(w, 48);
      c03 = dot(a00, w03, c03);
      c13 = dot(a01, w03, c13);
      c23 = dot(a02, w03, c23);
      const a10 = v128.load(a, 48), a11 = v128.load(a, 64), a12 = v128.load(a, 80);
      const w10 = v128.load(w, 64);
      c00 = dot(a10, w10, c00);
      c10 = dot(a11, w10, c10);
      c20 = dot(a12, w10, c20);
      const w11 = v128.load(w, 80);
      c01 = dot(a10, w11, c01);
      c11 = dot(a11, w11, c11);
      c21 = dot(a12, w11, c21);
      const w12 = v128.load(w, 96);
      c02 = dot(a10, w12, c02);
      c12 = dot(a11, w12, c12);
      c22 = dot(a12, w12, c22);
      const w13 = v128.load(w, 112);
      c03 = dot(a10, w13, c03);
      c13 = dot(a11, w13, c13);
      c23 = dot(a12, w13, c23);
      a += 2 * ROW_STEP;
      w += 2 * COLUMN_STEP;
    }
    if (--passes <= 0) break;
    a = rows;
    c00 = i32x4.shl(c00, 1); c01 = i32x4.shl(c01, 1); c02 = i32x4.shl(c02, 1); c03 = i32x4.shl(c03, 1);
    c10 = i32x4.shl(c10, 1); c11 = i32x4.shl(c11, 1); c12 = i32x4.shl(c12, 1); c13 = i32x4.shl(c13, 1);
    c20 = i32x4.shl(c20, 1); c21 = i32x4.shl(c21, 1); c22 = i32x4.shl(c22, 1); c23 = i32x4.shl(c23, 1);
  }
  store3(tile, sums4i(c00, c01, c02, c03), sums4i(c10, c11, c12, c13), sums4i(c20, c21, c22, c23));
}
