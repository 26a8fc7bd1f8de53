// Small operations on matrices that several methods share.
import { createMatrix, type Matrix } from "./matrix.ts";

/** `matrix^T`. */
export function transpose({ data, rows, cols }: Matrix): Matrix {
  const result = createMatrix(cols, rows);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) result.data[col * rows + row] = data[row * cols + col];
  }
  return result;
}

/** A copy of the rows `start` to `end`. */
export function sliceRows({ data, cols }: Matrix, start: number, end: number): Matrix {
  return createMatrix(end - start, cols, data.slice(start * cols, end * cols));
}

/** The rows of all parts, one after the other. */
export function joinRows(parts: readonly Matrix[]): Matrix {
  const result = createMatrix(parts.reduce((sum, part) => sum + part.rows, 0), parts[0].cols);
  let offset = 0;
  for (const part of parts) {
    result.data.set(part.data, offset);
    offset += part.data.length;
  }
  return result;
}

/** `a - b`. */
export function subtract(a: Matrix, b: Matrix): Matrix {
  const result = createMatrix(a.rows, a.cols);
  for (let i = 0; i < result.data.length; i++) result.data[i] = a.data[i] - b.data[i];
  return result;
}

/** Column j times `factors[j]`. */
export function scaleColumns({ data, rows, cols }: Matrix, factors: ArrayLike<number>): Matrix {
  const result = createMatrix(rows, cols);
  for (let row = 0, i = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++, i++) result.data[i] = data[i] * factors[col];
  }
  return result;
}

/** `max |x|` of each column. */
export function columnAbsmax({ data, cols }: Matrix): Float32Array<ArrayBuffer> {
  const result = new Float32Array(cols);
  for (let i = 0; i < data.length; i++) {
    const magnitude = Math.abs(data[i]);
    if (magnitude > result[i % cols]) result[i % cols] = magnitude;
  }
  return result;
}

/** The sum of the squares of all elements. */
export function squaredNorm(matrix: Matrix): number {
  let sum = 0;
  for (const value of matrix.data) sum += value * value;
  return sum;
}

/** Throws unless a matrix has the features that a rotation acts on. */
export function checkFeatures(matrix: Matrix, size: number): void {
  if (matrix.cols !== size) {
    throw new RangeError(`Cannot rotate rows of ${matrix.cols} features: the rotation acts on ${size}`);
  }
}

/** A copy with some columns zero, so that they widen no range; the matrix itself if there are none. */
export function withoutColumns(matrix: Matrix, columns: Uint32Array): Matrix {
  return columns.length === 0
    ? matrix
    : restoreColumns(matrix, createMatrix(matrix.rows, matrix.cols), columns);
}

/** A copy with some columns taken from another matrix; the matrix itself if there are none. */
export function restoreColumns(matrix: Matrix, from: Matrix, columns: Uint32Array): Matrix {
  if (columns.length === 0) return matrix;
  const data = matrix.data.slice();
  for (const column of columns) {
    for (let i = column; i < data.length; i += matrix.cols) data[i] = from.data[i];
  }
  return createMatrix(matrix.rows, matrix.cols, data);
}
