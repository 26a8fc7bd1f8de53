// Small rearrangements of matrices that several methods share.
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
