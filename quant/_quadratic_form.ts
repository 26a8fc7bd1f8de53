// The output error of changed weights, from the Hessian: `||x d^T||^2` is `d (x^T x) d^T`.
import type { Matrix } from "./matrix.ts";

/** `d H d^T` with H the diagonal block of a symmetric matrix that starts at row and column `start`. */
export function quadraticForm(d: Float32Array, { data, cols }: Matrix, start = 0): number {
  let sum = 0;
  for (let i = 0; i < d.length; i++) {
    if (d[i] === 0) continue;
    const row = (start + i) * cols + start;
    let cross = 0;
    for (let j = 0; j < i; j++) cross += data[row + j] * d[j];
    sum += d[i] * (2 * cross + data[row + i] * d[i]);
  }
  return sum;
}

/** The part of `d H d^T` that the diagonal makes. */
export function diagonalForm(d: Float32Array, { data, cols }: Matrix, start = 0): number {
  let sum = 0;
  for (let i = 0; i < d.length; i++) sum += data[(start + i) * (cols + 1)] * d[i] * d[i];
  return sum;
}
