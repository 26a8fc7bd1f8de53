// Storage of 2:4 sparse weights: of every four neighbours the two kept ones, and where they stood.
import { createMatrix, type Matrix } from "./matrix.ts";

/** A matrix with at most two nonzero values in every four neighbours of a row. */
export interface SparsePairs {
  /** Kept values, two for every four columns, `[rows, cols / 2]`. */
  readonly values: Float32Array<ArrayBuffer>;
  /**
   * Places of the kept values: a byte for every eight columns holds four places of two bits, low bits first, each 0 to 3
   * within its four neighbours, ascending. Rows of `ceil(cols / 8)` bytes.
   */
  readonly places: Uint8Array<ArrayBuffer>;
  /** Number of rows. */
  readonly rows: number;
  /** Number of columns. */
  readonly cols: number;
}

/**
 * Packs a 2:4 sparse matrix.
 *
 * @param matrix `[rows, cols]`, cols a multiple of 4.
 * @returns Values and places. Fours with fewer than two nonzero values keep zeros.
 * @throws {RangeError} If the columns are not a multiple of 4, or four neighbours hold more than two nonzero values.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, packSparsePairs, unpackSparsePairs } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const matrix = createMatrix(1, 4, Float32Array.of(0, 5, 0, -7));
 * const packed = packSparsePairs(matrix);
 * assertEquals(packed.values, Float32Array.of(5, -7));
 * assertEquals(packed.places, Uint8Array.of(1 | 3 << 2));
 * assertEquals(unpackSparsePairs(packed), matrix);
 * ```
 */
export function packSparsePairs(matrix: Matrix): SparsePairs {
  const { data, rows, cols } = matrix;
  if (cols % 4 !== 0) {
    throw new RangeError(`Cannot pack ${cols} columns in fours: the number must be a multiple of 4`);
  }
  const values = new Float32Array(rows * cols / 2), rowBytes = Math.ceil(cols / 8);
  const places = new Uint8Array(rows * rowBytes);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col += 4) {
      const start = row * cols + col, kept = keptPlaces(data.subarray(start, start + 4));
      kept.forEach((place, i) => {
        const at = col / 2 + i;
        values[row * cols / 2 + at] = data[start + place];
        places[row * rowBytes + (at >> 2)] |= place << 2 * (at & 3);
      });
    }
  }
  return { values, places, rows, cols };
}

/** The two places of four that are kept: the nonzero ones, then the first of the others. */
function keptPlaces(four: Float32Array): [number, number] {
  const nonzero = [0, 1, 2, 3].filter((i) => four[i] !== 0);
  if (nonzero.length > 2) {
    throw new RangeError(`Cannot pack ${nonzero.length} nonzero values of four: at most 2 are kept`);
  }
  const zero = [0, 1, 2, 3].filter((i) => four[i] === 0);
  const [first, second] = [...nonzero, ...zero];
  return first < second ? [first, second] : [second, first];
}

/**
 * The dense matrix of a packed one.
 *
 * @param packed Values and places.
 * @returns `[rows, cols]`.
 */
export function unpackSparsePairs({ values, places, rows, cols }: SparsePairs): Matrix {
  const result = createMatrix(rows, cols), rowBytes = Math.ceil(cols / 8);
  for (let row = 0; row < rows; row++) {
    for (let at = 0; at < cols / 2; at++) {
      const place = places[row * rowBytes + (at >> 2)] >> 2 * (at & 3) & 3;
      const value = values[row * cols / 2 + at];
      if (value !== 0) result.data[row * cols + 4 * (at >> 1) + place] = value;
    }
  }
  return result;
}
