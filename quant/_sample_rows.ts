// Sampled inputs for searches on a layer's output.
import { createMatrix, type Matrix } from "./matrix.ts";

/**
 * At most `count` rows, evenly spaced.
 *
 * @throws {RangeError} If there are none.
 */
export function sampleRows(inputs: Matrix, count: number): Matrix {
  const { data, rows, cols } = inputs;
  if (rows === 0) throw new RangeError("Cannot search on the layer's output: calibration kept no inputs");
  if (rows <= count) return inputs;
  const result = createMatrix(count, cols);
  for (let i = 0; i < count; i++) {
    const row = Math.floor((i * rows) / count);
    result.data.set(data.subarray(row * cols, (row + 1) * cols), i * cols);
  }
  return result;
}
