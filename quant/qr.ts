// QR factorization by Householder reflections, and the random orthogonal matrices it gives.
import { createMatrix64, type Matrix64, transpose64 } from "./matrix64.ts";
import { createRandom } from "./random.ts";

/** `matrix = q * r`. */
export interface QrResult {
  /** `[rows, cols]`, orthonormal columns. */
  readonly q: Matrix64;
  /** `[cols, cols]`, upper triangular. */
  readonly r: Matrix64;
}

/**
 * The thin QR factorization of a matrix with at least as many rows as columns.
 *
 * @param matrix `[rows, cols]`, `rows >= cols`.
 * @returns Orthonormal `q` and upper triangular `r`, also when the columns are dependent.
 * @throws {RangeError} If there are fewer rows than columns.
 */
export function qr(matrix: Matrix64): QrResult {
  const { rows, cols } = matrix;
  if (rows < cols) {
    throw new RangeError(`Cannot factor shape [${rows}, ${cols}] as thin QR: it has fewer rows than columns`);
  }
  // One row of `work` holds one column of the matrix, so that every loop below runs over contiguous values.
  const work = transpose64(matrix).data;
  const reflectors = new Float64Array(cols * rows);
  for (let k = 0; k < cols; k++) {
    const v = reflectors.subarray(k * rows, (k + 1) * rows);
    if (!reflectorOf(work.subarray(k * rows, (k + 1) * rows), k, v)) continue;
    for (let j = k; j < cols; j++) reflect(work.subarray(j * rows, (j + 1) * rows), v, k);
  }
  const r = createMatrix64(cols, cols);
  for (let i = 0; i < cols; i++) {
    for (let j = i; j < cols; j++) r.data[i * cols + j] = work[j * rows + i];
  }
  // q is the reflections applied, last first, to the leading columns of the identity.
  const qTransposed = createMatrix64(cols, rows);
  for (let j = 0; j < cols; j++) {
    const column = qTransposed.data.subarray(j * rows, (j + 1) * rows);
    column[j] = 1;
    // Those after the j-th do not touch a column that is zero below j.
    for (let k = j; k >= 0; k--) reflect(column, reflectors.subarray(k * rows, (k + 1) * rows), k);
  }
  return { q: transpose64(qTransposed), r };
}

/** Writes the unit vector whose reflection clears `column` below `from`; returns whether there is anything to clear. */
function reflectorOf(column: Float64Array, from: number, out: Float64Array): boolean {
  let square = 0;
  for (let i = from; i < column.length; i++) square += column[i] * column[i];
  const norm = Math.sqrt(square);
  if (norm === 0) return false;
  for (let i = from; i < column.length; i++) out[i] = column[i];
  // The sign avoids cancellation.
  out[from] += column[from] >= 0 ? norm : -norm;
  let length = 0;
  for (let i = from; i < column.length; i++) length += out[i] * out[i];
  length = Math.sqrt(length);
  for (let i = from; i < column.length; i++) out[i] /= length;
  return true;
}

/** `column -= 2 v (v . column)`, where `v` is zero before `from`. */
function reflect(column: Float64Array, v: Float64Array, from: number): void {
  // Four sums at once, which need not wait for one another.
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0, at = from;
  for (; at + 4 <= column.length; at += 4) {
    s0 += v[at] * column[at];
    s1 += v[at + 1] * column[at + 1];
    s2 += v[at + 2] * column[at + 2];
    s3 += v[at + 3] * column[at + 3];
  }
  for (; at < column.length; at++) s0 += v[at] * column[at];
  const dot = 2 * (s0 + s1 + (s2 + s3));
  for (let i = from; i < column.length; i++) column[i] -= dot * v[i];
}

/**
 * A random orthogonal matrix, uniform over all of them: the `q` of a Gaussian matrix, its columns multiplied by the signs
 * of the diagonal of `r`.
 *
 * @param size Rows and columns.
 * @param seed Default 0.
 * @returns `[size, size]`.
 */
export function randomOrthogonal(size: number, seed = 0): Matrix64 {
  const { normal } = createRandom(seed);
  const { q, r } = qr(createMatrix64(size, size, Float64Array.from({ length: size * size }, normal)));
  for (let col = 0; col < size; col++) {
    if (r.data[col * size + col] >= 0) continue;
    for (let row = 0; row < size; row++) q.data[row * size + col] *= -1;
  }
  return q;
}
