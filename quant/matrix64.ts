// Dense float64 matrices for the algebra behind the methods: factorizations, rotations and exact loss identities.
import { createMatrix, type Matrix } from "./matrix.ts";

/** A dense row-major matrix of float64: element `[row, col]` is `data[row * cols + col]`. */
export interface Matrix64 {
  /** `rows * cols` values, row after row. */
  readonly data: Float64Array<ArrayBuffer>;
  /** Number of rows. */
  readonly rows: number;
  /** Number of columns. */
  readonly cols: number;
}

/**
 * Makes a float64 matrix, checking that the data fills it.
 *
 * @param rows Number of rows.
 * @param cols Number of columns.
 * @param data `rows * cols` values, row-major; zeros when left out. Not copied.
 * @returns The matrix.
 * @throws {RangeError} If `data` does not hold `rows * cols` values.
 */
export function createMatrix64(rows: number, cols: number, data?: Float64Array<ArrayBuffer>): Matrix64 {
  const values = data ?? new Float64Array(rows * cols);
  if (values.length !== rows * cols) {
    throw new RangeError(
      `Cannot make a [${rows}, ${cols}] matrix of ${values.length} values: it needs ${rows * cols}`,
    );
  }
  return { data: values, rows, cols };
}

/** Widens a matrix to float64, exactly. */
export function toMatrix64(matrix: Matrix): Matrix64 {
  return { data: new Float64Array(matrix.data), rows: matrix.rows, cols: matrix.cols };
}

/** Rounds a float64 matrix to float32. */
export function toMatrix(matrix: Matrix64): Matrix {
  return createMatrix(matrix.rows, matrix.cols, new Float32Array(matrix.data));
}

/** The identity of a size. */
export function identity64(size: number): Matrix64 {
  const result = createMatrix64(size, size);
  for (let i = 0; i < size; i++) result.data[i * size + i] = 1;
  return result;
}

/** `matrix^T`. */
export function transpose64(matrix: Matrix64): Matrix64 {
  const { data, rows, cols } = matrix;
  const result = createMatrix64(cols, rows);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) result.data[col * rows + row] = data[row * cols + col];
  }
  return result;
}

/**
 * `a * b`.
 *
 * @param a `[rows, inner]`.
 * @param b `[inner, cols]`.
 * @returns `[rows, cols]`.
 * @throws {RangeError} If the inner sizes differ.
 */
export function multiply64(a: Matrix64, b: Matrix64): Matrix64 {
  checkInner(a, b, a.cols, b.rows);
  return multiplyTransposed64(a, transpose64(b));
}

/**
 * `a * b^T`, the product of a linear layer.
 *
 * @param a `[rows, inner]`.
 * @param b `[cols, inner]`.
 * @returns `[rows, cols]`.
 * @throws {RangeError} If the inner sizes differ.
 */
export function multiplyTransposed64(a: Matrix64, b: Matrix64): Matrix64 {
  checkInner(a, b, a.cols, b.cols);
  const result = createMatrix64(a.rows, b.rows);
  const fullRows = a.rows - a.rows % 4;
  const fullCols = b.rows - b.rows % 4;
  for (let row = 0; row < fullRows; row += 4) {
    for (let col = 0; col < fullCols; col += 4) dotBlock(a, b, row, col, result);
    for (let r = row; r < row + 4; r++) dotRange(a, b, r, fullCols, result);
  }
  for (let row = fullRows; row < a.rows; row++) dotRange(a, b, row, 0, result);
  return result;
}

/** Sixteen dot products at once: each loaded value serves four of them, which is what makes the product fast. */
function dotBlock(a: Matrix64, b: Matrix64, row: number, col: number, out: Matrix64): void {
  const inner = a.cols;
  const x = a.data;
  const w = b.data;
  const [x0, x1, x2, x3] = [row * inner, (row + 1) * inner, (row + 2) * inner, (row + 3) * inner];
  const [w0, w1, w2, w3] = [col * inner, (col + 1) * inner, (col + 2) * inner, (col + 3) * inner];
  let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
  let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
  for (let k = 0; k < inner; k++) {
    const a0 = x[x0 + k], a1 = x[x1 + k], a2 = x[x2 + k], a3 = x[x3 + k];
    const b0 = w[w0 + k], b1 = w[w1 + k], b2 = w[w2 + k], b3 = w[w3 + k];
    s00 += a0 * b0, s01 += a0 * b1, s02 += a0 * b2, s03 += a0 * b3;
    s10 += a1 * b0, s11 += a1 * b1, s12 += a1 * b2, s13 += a1 * b3;
    s20 += a2 * b0, s21 += a2 * b1, s22 += a2 * b2, s23 += a2 * b3;
    s30 += a3 * b0, s31 += a3 * b1, s32 += a3 * b2, s33 += a3 * b3;
  }
  const sums = [s00, s01, s02, s03, s10, s11, s12, s13, s20, s21, s22, s23, s30, s31, s32, s33];
  for (let i = 0; i < 16; i++) out.data[(row + (i >> 2)) * out.cols + col + (i & 3)] = sums[i];
}

/** The dot products of one row with the rows `from..` of `b`. */
function dotRange(a: Matrix64, b: Matrix64, row: number, from: number, out: Matrix64): void {
  const inner = a.cols;
  for (let col = from; col < b.rows; col++) {
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += a.data[row * inner + k] * b.data[col * inner + k];
    out.data[row * out.cols + col] = sum;
  }
}

/** `a - b`, element by element. */
export function subtract64(a: Matrix64, b: Matrix64): Matrix64 {
  checkSameShape(a, b);
  return createMatrix64(a.rows, a.cols, a.data.map((value, i) => value - b.data[i]));
}

/** `a + b`, element by element. */
export function add64(a: Matrix64, b: Matrix64): Matrix64 {
  checkSameShape(a, b);
  return createMatrix64(a.rows, a.cols, a.data.map((value, i) => value + b.data[i]));
}

/** The sum of the squares of all elements: the squared Frobenius norm. */
export function squaredNorm64(matrix: Matrix64): number {
  let sum = 0;
  for (const value of matrix.data) sum += value * value;
  return sum;
}

function checkInner(a: Matrix64, b: Matrix64, innerA: number, innerB: number): void {
  if (innerA !== innerB) {
    throw new RangeError(
      `Cannot multiply shapes [${a.rows}, ${a.cols}] and [${b.rows}, ${b.cols}]: the inner sizes differ`,
    );
  }
}

function checkSameShape(a: Matrix64, b: Matrix64): void {
  if (a.rows !== b.rows || a.cols !== b.cols) {
    throw new RangeError(
      `Cannot combine shapes [${a.rows}, ${a.cols}] and [${b.rows}, ${b.cols}]: they must be equal`,
    );
  }
}
