// The one host-side tensor of the library: a dense row-major float32 matrix.

/** A dense row-major matrix of float32: element `[row, col]` is `data[row * cols + col]`. */
export interface Matrix {
  /** `rows * cols` values, row after row. */
  readonly data: Float32Array<ArrayBuffer>;
  /** Number of rows: tokens of an activation, output features of a weight. */
  readonly rows: number;
  /** Number of columns: features of an activation, input features of a weight. */
  readonly cols: number;
}

/**
 * Makes a matrix, checking that the data fills it.
 *
 * @param rows Number of rows.
 * @param cols Number of columns.
 * @param data `rows * cols` values, row-major; zeros when left out. Not copied.
 * @returns The matrix.
 * @throws {RangeError} If `data` does not hold `rows * cols` values.
 *
 * @example Usage
 * ```ts
 * import { createMatrix } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const matrix = createMatrix(2, 3, Float32Array.of(1, 2, 3, 4, 5, 6));
 * assertEquals(matrix.data[1 * matrix.cols + 0], 4);
 * ```
 */
export function createMatrix(rows: number, cols: number, data?: Float32Array<ArrayBuffer>): Matrix {
  if (!Number.isInteger(rows) || !Number.isInteger(cols) || rows < 0 || cols < 0) {
    throw new RangeError(
      `Cannot make a matrix of shape [${rows}, ${cols}]: both must be non-negative integers`,
    );
  }
  const values = data ?? new Float32Array(rows * cols);
  if (values.length !== rows * cols) {
    throw new RangeError(
      `Cannot make a [${rows}, ${cols}] matrix of ${values.length} values: it needs ${rows * cols}`,
    );
  }
  return { data: values, rows, cols };
}
