// Descent on orthogonal matrices by the Cayley transform: how SpinQuant learns rotations (arXiv 2405.16406).
import { createMatrix64, type Matrix64, multiply64, multiplyTransposed64, transpose64 } from "./matrix64.ts";

/**
 * Moves an orthogonal matrix against the gradient of a loss and keeps it orthogonal: with `A = G R^T`, projected as
 * `A - R R^T A / 2`, and `Y` its skew part, `R <- (I + step/2 Y)^-1 (I - step/2 Y) R`. The linear system is solved
 * exactly, so `R` stays orthogonal to rounding. The step is at most `1 / ||Y||_1`.
 *
 * @param rotation R, `[size, size]`, orthogonal.
 * @param gradient Gradient G of the loss by R, the same shape.
 * @param learningRate Largest step.
 * @returns The moved matrix.
 * @throws {RangeError} If the shapes differ or are not square.
 */
export function cayleyStep(rotation: Matrix64, gradient: Matrix64, learningRate: number): Matrix64 {
  const size = rotation.rows;
  if (rotation.cols !== size || gradient.rows !== size || gradient.cols !== size) {
    throw new RangeError(
      `Cannot move a [${rotation.rows}, ${rotation.cols}] rotation by a [${gradient.rows}, ${gradient.cols}] gradient`,
    );
  }
  const projected = multiplyTransposed64(gradient, rotation);
  // R R^T = I, so the projection halves it: Y = (A - A / 2) - (A - A / 2)^T.
  const skew = createMatrix64(size, size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      skew.data[i * size + j] = (projected.data[i * size + j] - projected.data[j * size + i]) / 2;
    }
  }
  const half = Math.min(learningRate, 1 / (oneNorm(skew) + 1e-8)) / 2;
  const left = createMatrix64(
    size,
    size,
    skew.data.map((value, i) => half * value + (i % (size + 1) === 0 ? 1 : 0)),
  );
  const moved = multiply64(skew, rotation);
  const right = createMatrix64(size, size, rotation.data.map((value, i) => value - half * moved.data[i]));
  return solve(left, right);
}

/** The largest sum of magnitudes of a column. */
function oneNorm({ data, cols }: Matrix64): number {
  const sums = new Float64Array(cols);
  for (let i = 0; i < data.length; i++) sums[i % cols] += Math.abs(data[i]);
  return sums.reduce((max, sum) => Math.max(max, sum), 0);
}

/**
 * `left^-1 * right` by elimination without pivoting, which is safe here: the symmetric part of `I + skew` is the
 * identity, so every pivot is at least 1. Works on transposed copies of `right`, whose rows are then contiguous.
 */
function solve(left: Matrix64, right: Matrix64): Matrix64 {
  const size = left.rows;
  const lu = left.data.slice();
  for (let k = 0; k < size; k++) {
    for (let i = k + 1; i < size; i++) {
      const factor = lu[i * size + k] /= lu[k * size + k];
      if (factor === 0) continue;
      for (let j = k + 1; j < size; j++) lu[i * size + j] -= factor * lu[k * size + j];
    }
  }
  const columns = transpose64(right);
  for (let column = 0; column < columns.rows; column++) {
    const x = columns.data.subarray(column * size, (column + 1) * size);
    for (let i = 0; i < size; i++) {
      let sum = x[i];
      for (let j = 0; j < i; j++) sum -= lu[i * size + j] * x[j];
      x[i] = sum;
    }
    for (let i = size - 1; i >= 0; i--) {
      let sum = x[i];
      for (let j = i + 1; j < size; j++) sum -= lu[i * size + j] * x[j];
      x[i] = sum / lu[i * size + i];
    }
  }
  return transpose64(columns);
}
