// The factor of a damped inverse Hessian in float64: U with inverse(H) = U^T U. With rows and columns reversed, Cholesky
// gives H = L L^T, and U is the inverse of L, reversed again. Both halves are products of contiguous rows, tile by tile.
//
// Matrices are [size, stride] float64, the stride a multiple of 4, zeros past the end.
import { MR, NR } from "./micro";
import { maddd } from "./simd";

/** Rows `begin..end` of the reversed, permuted, damped Hessian. */
export function reverse_hessian(
  begin: i32, end: i32, _scratch: usize,
  hessian: usize, order: usize, damping: usize, matrix: usize, size: i32, stride: i32,
): void {
  for (let i = begin; i < end; i++) {
    const row = hessian + 4 * load<u32>(order + 4 * (size - 1 - i)) * size;
    const dst = matrix + 8 * i * stride;
    for (let j = 0; j < size; j++) {
      let value = <f64> load<f32>(row + 4 * load<u32>(order + 4 * (size - 1 - j)));
      if (i == j) value = (value == 0 ? 1 : value) + <f64> load<f32>(damping);
      store<f64>(dst + 8 * j, value);
    }
    for (let j = size; j < stride; j++) store<f64>(dst + 8 * j, 0);
  }
}

/** The product of two rows of `count` (a multiple of 4) doubles. */
function dotDouble(a: usize, b: usize, count: i32): f64 {
  let s0 = f64x2.splat(0), s1 = f64x2.splat(0);
  for (let k = 0; k < count; k += 4) {
    s0 = maddd(v128.load(a), v128.load(b), s0);
    s1 = maddd(v128.load(a, 16), v128.load(b, 16), s1);
    a += 32;
    b += 32;
  }
  s0 = f64x2.add(s0, s1);
  return f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1);
}

/**
 * Cholesky of the rows `first..last` (`first` a multiple of 4) within their own columns; everything to their left is done.
 * What lies above the diagonal becomes zero. Writes 1 to `failed` where the matrix is not positive definite.
 */
export function cholesky_diagonal(
  _begin: i32, _end: i32, _scratch: usize, matrix: usize, failed: usize, first: i32, last: i32, size: i32, stride: i32,
): void {
  for (let i = first; i < last; i++) {
    const row = matrix + 8 * i * stride;
    for (let j = first; j < i; j++) {
      const other = matrix + 8 * j * stride;
      store<f64>(row + 8 * j, (load<f64>(row + 8 * j) - dotTo(row, other, j)) / load<f64>(other + 8 * j));
    }
    const pivot = load<f64>(row + 8 * i) - dotTo(row, row, i);
    if (!(pivot > 0) || pivot == Infinity) {
      store<i32>(failed, 1);
      return;
    }
    store<f64>(row + 8 * i, sqrt(pivot));
    for (let j = i + 1; j < size; j++) store<f64>(row + 8 * j, 0);
  }
}

/** The product of the first `count` doubles of two rows. */
function dotTo(a: usize, b: usize, count: i32): f64 {
  const whole = count & ~3;
  let sum = dotDouble(a, b, whole);
  for (let k = whole; k < count; k++) sum += load<f64>(a + 8 * k) * load<f64>(b + 8 * k);
  return sum;
}

/** Cholesky's columns `first..last` of the row tiles `begin..end` behind row `last`, the rows `first..last` being done. */
export function cholesky_panel(
  begin: i32, end: i32, scratch: usize, matrix: usize, first: i32, last: i32, size: i32, stride: i32,
): void {
  const step = <usize> 8 * stride;
  for (let t = begin; t < end; t++) {
    const row = last + t * MR;
    const valid = min(MR, size - row);
    const a = matrix + step * row;
    for (let j = first; j < last; j += NR) {
      const w = matrix + step * j;
      tileF64(a, w, step, valid, j, scratch);
      for (let r = 0; r < valid; r++) {
        const at = a + step * r + 8 * j;
        for (let c = 0; c < NR; c++) {
          const other = w + step * c + 8 * j;
          let value = load<f64>(at + 8 * c) - load<f64>(scratch + 8 * (r * NR + c));
          for (let k = 0; k < c; k++) value -= load<f64>(at + 8 * k) * load<f64>(other + 8 * k);
          store<f64>(at + 8 * c, value / load<f64>(other + 8 * c));
        }
      }
    }
  }
}

/**
 * `tile[3][4]` = products of 3 rows at `a` and 4 rows at `w` over `count` (a multiple of 4) doubles. Rows that are not
 * valid repeat the last.
 */
function tileF64(a: usize, w: usize, step: usize, valid: i32, count: i32, tile: usize): void {
  let a0 = a, a1 = a + step * min(1, valid - 1), a2 = a + step * min(2, valid - 1);
  let w0 = w, w1 = w + step, w2 = w + 2 * step, w3 = w + 3 * step;
  let c00 = f64x2.splat(0), c01 = f64x2.splat(0), c02 = f64x2.splat(0), c03 = f64x2.splat(0);
  let c10 = f64x2.splat(0), c11 = f64x2.splat(0), c12 = f64x2.splat(0), c13 = f64x2.splat(0);
  let c20 = f64x2.splat(0), c21 = f64x2.splat(0), c22 = f64x2.splat(0), c23 = f64x2.splat(0);
  for (let k = 0; k < count; k += 4) {
    const x00 = v128.load(a0), x01 = v128.load(a1), x02 = v128.load(a2);
    const y00 = v128.load(w0);
    c00 = maddd(x00, y00, c00);
    c10 = maddd(x01, y00, c10);
    c20 = maddd(x02, y00, c20);
    const y01 = v128.load(w1);
    c01 = maddd(x00, y01, c01);
    c11 = maddd(x01, y01, c11);
    c21 = maddd(x02, y01, c21);
    const y02 = v128.load(w2);
    c02 = maddd(x00, y02, c02);
    c12 = maddd(x01, y02, c12);
    c22 = maddd(x02, y02, c22);
    const y03 = v128.load(w3);
    c03 = maddd(x00, y03, c03);
    c13 = maddd(x01, y03, c13);
    c23 = maddd(x02, y03, c23);
    const x10 = v128.load(a0, 16), x11 = v128.load(a1, 16), x12 = v128.load(a2, 16);
    const y10 = v128.load(w0, 16);
    c00 = maddd(x10, y10, c00);
    c10 = maddd(x11, y10, c10);
    c20 = maddd(x12, y10, c20);
    const y11 = v128.load(w1, 16);
    c01 = maddd(x10, y11, c01);
    c11 = maddd(x11, y11, c11);
    c21 = maddd(x12, y11, c21);
    const y12 = v128.load(w2, 16);
    c02 = maddd(x10, y12, c02);
    c12 = maddd(x11, y12, c12);
    c22 = maddd(x12, y12, c22);
    const y13 = v128.load(w3, 16);
    c03 = maddd(x10, y13, c03);
    c13 = maddd(x11, y13, c13);
    c23 = maddd(x12, y13, c23);
    a0 += 32;
    a1 += 32;
    a2 += 32;
    w0 += 32;
    w1 += 32;
    w2 += 32;
    w3 += 32;
  }
  v128.store(tile, sums2d(c00, c01));
  v128.store(tile, sums2d(c02, c03), 16);
  v128.store(tile, sums2d(c10, c11), 32);
  v128.store(tile, sums2d(c12, c13), 48);
  v128.store(tile, sums2d(c20, c21), 64);
  v128.store(tile, sums2d(c22, c23), 80);
}

// @ts-ignore: decorator
@inline
function sums2d(a: v128, b: v128): v128 {
  return f64x2.add(v128.shuffle<i64>(a, b, 0, 2), v128.shuffle<i64>(a, b, 1, 3));
}

/** Rows `begin..end` of the transpose, zeros past the end. */
export function transpose_double(
  begin: i32, end: i32, _scratch: usize, matrix: usize, transposed: usize, size: i32, stride: i32,
): void {
  for (let i = begin; i < end; i++) {
    const dst = transposed + 8 * i * stride;
    for (let j = 0; j < size; j++) store<f64>(dst + 8 * j, load<f64>(matrix + 8 * (j * stride + i)));
    for (let j = size; j < stride; j++) store<f64>(dst + 8 * j, 0);
  }
}

/**
 * Row tiles `begin..end`, counted from the last row, of the inverse X of a lower triangular L, given its transpose with
 * `stride` rows. Row i of X L = I gives `X[i, j] = (I[i, j] - sum_{k > j} X[i, k] L[k, j]) / L[j, j]`, from the right.
 */
export function invert_lower(
  begin: i32, end: i32, scratch: usize, transposed: usize, inverse: usize, size: i32, stride: i32,
): void {
  const step = <usize> 8 * stride;
  const tiles = (size + MR - 1) / MR;
  for (let t = begin; t < end; t++) {
    const row = (tiles - 1 - t) * MR;
    const valid = min(MR, size - row);
    const x = inverse + step * row;
    for (let r = 0; r < valid; r++) memory.fill(x + step * r, 0, step);
    // Columns right of the rows are zero; the end of the sums is a multiple of 4.
    const reach = min((row + valid + 3) & ~3, stride);
    for (let j = reach - NR; j >= 0; j -= NR) {
      tileF64(x + 8 * (j + NR), transposed + step * j + 8 * (j + NR), step, valid, reach - j - NR, scratch);
      for (let r = 0; r < valid; r++) {
        const at = x + step * r + 8 * j;
        for (let c = NR - 1; c >= 0; c--) {
          if (j + c > row + r) continue;
          const column = transposed + step * (j + c) + 8 * j;
          let value: f64 = (j + c == row + r ? 1 : 0) - load<f64>(scratch + 8 * (r * NR + c));
          for (let k = c + 1; k < NR; k++) value -= load<f64>(at + 8 * k) * load<f64>(column + 8 * k);
          store<f64>(at + 8 * c, value / load<f64>(column + 8 * c));
        }
      }
    }
  }
}

/** Rows `begin..end` of the reversed inverse as float32, and their pivots. */
export function reverse_factor(
  begin: i32, end: i32, _scratch: usize, transposed: usize, inverse: usize, factor: usize, pivots: usize, size: i32, stride: i32,
): void {
  for (let i = begin; i < end; i++) {
    const from = size - 1 - i;
    for (let j = 0; j < size; j++) {
      store<f32>(factor + 4 * (i * size + j), <f32> load<f64>(inverse + 8 * (from * stride + size - 1 - j)));
    }
    const diagonal = load<f64>(transposed + 8 * (from * stride + from));
    store<f32>(pivots + 4 * i, <f32> (diagonal * diagonal));
  }
}
