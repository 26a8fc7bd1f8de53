// Descent on orthogonal matrices by the Cayley transform: how SpinQuant learns rotations (arXiv 2405.16406).
import { createMatrix64, type Matrix64, multiplyTransposed64, transpose64 } from "./matrix64.ts";

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
  // (I + Z)^-1 (I - Z) = 2 (I + Z)^-1 - I, which saves a product.
  const solved = solve(left, rotation);
  return createMatrix64(size, size, solved.data.map((value, i) => 2 * value - rotation.data[i]));
}

/** The largest sum of magnitudes of a column. */
function oneNorm({ data, cols }: Matrix64): number {
  const sums = new Float64Array(cols);
  for (let i = 0; i < data.length; i++) sums[i % cols] += Math.abs(data[i]);
  return sums.reduce((max, sum) => Math.max(max, sum), 0);
}

/**
 * `left^-1 * right` by elimination without pivoting, which is safe here: the symmetric part of `I + skew` is the
 * identity, so every pivot is at least 1. Works on a transposed copy of `right`, whose columns are then contiguous.
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
  // Right sides are solved LANES at a time; padding with zeros completes the last ones.
  const columns = new Float64Array(Math.ceil(size / LANES) * LANES * size);
  columns.set(transpose64(right).data);
  for (let start = 0; start < columns.length; start += LANES * size) {
    substitute(lu, columns.subarray(start, start + LANES * size), size);
  }
  return transpose64(createMatrix64(size, size, columns.slice(0, size * size)));
}

/** Columns solved together: each loaded factor serves all of them. */
const LANES = 4;

/** Forward, then backward substitution of four right sides, each `size` neighbors of `x`. */
function substitute(lu: Float64Array, x: Float64Array, size: number): void {
  const [x1, x2, x3] = [size, 2 * size, 3 * size];
  for (let step = 0; step < 2 * size; step++) {
    const forward = step < size;
    const i = forward ? step : 2 * size - 1 - step;
    let s0 = x[i], s1 = x[x1 + i], s2 = x[x2 + i], s3 = x[x3 + i];
    const row = i * size;
    for (let j = forward ? 0 : i + 1, end = forward ? i : size; j < end; j++) {
      const factor = lu[row + j];
      s0 -= factor * x[j], s1 -= factor * x[x1 + j], s2 -= factor * x[x2 + j], s3 -= factor * x[x3 + j];
    }
    const pivot = forward ? 1 : lu[row + i];
    x[i] = s0 / pivot, x[x1 + i] = s1 / pivot, x[x2 + i] = s2 / pivot, x[x3 + i] = s3 / pivot;
  }
}
