// Moving the values of one block between a matrix and a dense array.
import type { BlockPlace } from "./granularity.ts";
import type { Matrix } from "./matrix.ts";

/** The values of a block, row-major: a view where the block is contiguous in the matrix, a copy elsewhere. */
export function readBlock(matrix: Matrix, place: BlockPlace): Float32Array<ArrayBuffer> {
  const { data, cols } = matrix;
  const start = place.row * cols + place.col;
  if (place.rows === 1 || place.cols === cols) return data.subarray(start, start + place.rows * place.cols);
  const values = new Float32Array(place.rows * place.cols);
  for (let row = 0; row < place.rows; row++) {
    values.set(data.subarray(start + row * cols, start + row * cols + place.cols), row * place.cols);
  }
  return values;
}
