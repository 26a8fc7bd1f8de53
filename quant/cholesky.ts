// Triangular factors in float64, for GPTQ and everything that whitens by a Hessian. Every inner loop runs over
// contiguous memory.
import { createMatrix64, type Matrix64 } from "./matrix64.ts";

/** How {@linkcode dampedInverseFactor} regularizes. */
export interface DampedInverseFactorOptions {
  /** Multiple of the mean of the diagonal that is added to it. Default 0.01. */
  readonly percDamp?: number;
}

/** The factor of a damped inverse, and the damping it took. */
export interface DampedInverseFactor {
  /** Upper triangular U with `inverse(H + damping * I) = U^T U`, zeros below the diagonal. */
  readonly factor: Matrix64;
  /** What was added to each diagonal element. */
  readonly damping: number;
}

/** Tries before giving up: damping by then exceeds the matrix itself. */
const MAX_ATTEMPTS = 10;

/** Sum of `a[i] * b[j]` over `count` neighbours, with four partial sums so that additions overlap. */
function dot(a: Float64Array, aStart: number, b: Float64Array, bStart: number, count: number): number {
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0, k = 0;
  for (; k + 3 < count; k += 4) {
    s0 += a[aStart + k] * b[bStart + k];
    s1 += a[aStart + k + 1] * b[bStart + k + 1];
    s2 += a[aStart + k + 2] * b[bStart + k + 2];
    s3 += a[aStart + k + 3] * b[bStart + k + 3];
  }
  for (; k < count; k++) s0 += a[aStart + k] * b[bStart + k];
  return s0 + s1 + (s2 + s3);
}

function checkSquare({ rows, cols }: Matrix64): number {
  if (rows !== cols) throw new RangeError(`Cannot factor a [${rows}, ${cols}] matrix: it must be square`);
  return rows;
}

/**
 * Lower Cholesky factor L of a symmetric positive definite matrix, `matrix = L L^T`. Only the lower triangle is read.
 *
 * @param matrix `[size, size]`.
 * @returns L, zeros above the diagonal.
 * @throws {RangeError} If the matrix is not square or not positive definite.
 *
 * @example Usage
 * ```ts
 * import { cholesky, createMatrix64 } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(cholesky(createMatrix64(2, 2, Float64Array.of(4, 2, 2, 10))).data, Float64Array.of(2, 0, 1, 3));
 * ```
 */
export function cholesky(matrix: Matrix64): Matrix64 {
  const size = checkSquare(matrix), source = matrix.data;
  const lower = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    const rowI = i * size;
    for (let j = 0; j < i; j++) {
      const rowJ = j * size;
      lower[rowI + j] = (source[rowI + j] - dot(lower, rowI, lower, rowJ, j)) / lower[rowJ + j];
    }
    const pivot = source[rowI + i] - dot(lower, rowI, lower, rowI, i);
    if (!(pivot > 0) || pivot === Infinity) {
      throw new RangeError(`Cannot factor the matrix: it is not positive definite (pivot ${i} is ${pivot})`);
    }
    lower[rowI + i] = Math.sqrt(pivot);
  }
  return createMatrix64(size, size, lower);
}

/**
 * Solves `matrix * X = right` for a symmetric positive definite matrix.
 *
 * @param lower Its factor from {@linkcode cholesky}, `[size, size]`.
 * @param right `[size, columns]`.
 * @returns X, `[size, columns]`.
 * @throws {RangeError} If `right` has another number of rows.
 */
export function choleskySolve(lower: Matrix64, right: Matrix64): Matrix64 {
  const size = checkSquare(lower), columns = right.cols, l = lower.data;
  if (right.rows !== size) {
    throw new RangeError(`Cannot solve ${size} equations for ${right.rows} rows of right-hand sides`);
  }
  const x = new Float64Array(right.data);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < i; j++) subtractRow(x, i, j, l[i * size + j], columns);
    divideRow(x, i, l[i * size + i], columns);
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let j = i + 1; j < size; j++) subtractRow(x, i, j, l[j * size + i], columns);
    divideRow(x, i, l[i * size + i], columns);
  }
  return createMatrix64(size, columns, x);
}

function subtractRow(x: Float64Array, target: number, source: number, factor: number, columns: number): void {
  for (let c = 0; c < columns; c++) x[target * columns + c] -= factor * x[source * columns + c];
}

function divideRow(x: Float64Array, row: number, divisor: number, columns: number): void {
  for (let c = 0; c < columns; c++) x[row * columns + c] /= divisor;
}

/** Inverse of a lower triangular matrix, itself lower triangular. */
function invertLower({ data: lower, rows: size }: Matrix64): Matrix64 {
  // Row i of the inverse is (e_i - sum_j<i L_ij * row j) / L_ii: whole rows are combined, front to back.
  const inverse = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    const rowI = i * size;
    for (let j = 0; j < i; j++) {
      const factor = lower[rowI + j], rowJ = j * size;
      if (factor === 0) continue;
      for (let k = 0; k <= j; k++) inverse[rowI + k] -= factor * inverse[rowJ + k];
    }
    const diagonal = lower[rowI + i];
    for (let k = 0; k < i; k++) inverse[rowI + k] /= diagonal;
    inverse[rowI + i] = 1 / diagonal;
  }
  return createMatrix64(size, size, inverse);
}

/** The matrix with rows and columns in reverse order, which is all its values in reverse. */
function reversed({ data, rows, cols }: Matrix64): Matrix64 {
  return createMatrix64(rows, cols, new Float64Array(data).reverse());
}

/**
 * Upper triangular U with `inverse(matrix) = U^T U`, without forming the inverse: with rows and columns reversed,
 * Cholesky gives `matrix = R R^T` with R upper triangular, and U is the inverse of R.
 *
 * @param matrix `[size, size]`, symmetric positive definite.
 * @returns U, zeros below the diagonal.
 * @throws {RangeError} If the matrix is not square or not positive definite.
 */
export function inverseUpperFactor(matrix: Matrix64): Matrix64 {
  return reversed(invertLower(cholesky(reversed(matrix))));
}

/**
 * {@linkcode inverseUpperFactor} of a Hessian after damping: `percDamp * mean(diagonal)` is added to the diagonal, ten
 * times more after each failure to factor.
 *
 * @param hessian `[size, size]`, symmetric, positive semidefinite up to rounding. Not changed.
 * @param options The first damping to try.
 * @returns The factor and the damping that it took.
 * @throws {RangeError} If the matrix holds NaN or infinity, or is not positive definite at any damping.
 */
export function dampedInverseFactor(
  hessian: Matrix64,
  options: DampedInverseFactorOptions = {},
): DampedInverseFactor {
  const size = checkSquare(hessian);
  let mean = 0;
  for (let i = 0; i < size; i++) mean += hessian.data[i * size + i] / size;
  if (!hessian.data.every(Number.isFinite)) {
    throw new RangeError("Cannot factor a Hessian that holds NaN or infinity");
  }
  let damping = (options.percDamp ?? 0.01) * mean;
  for (let attempt = 1;; attempt++) {
    const damped = createMatrix64(size, size, new Float64Array(hessian.data));
    for (let i = 0; i < size; i++) damped.data[i * size + i] += damping;
    try {
      return { factor: inverseUpperFactor(damped), damping };
    } catch (error) {
      if (!(error instanceof RangeError) || attempt === MAX_ATTEMPTS) throw error;
      damping = Math.max(damping * 10, mean * 1e-6);
    }
  }
}
