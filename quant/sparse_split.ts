// Keeping a few weights apart as a sparse 16-bit matrix: SqueezeLLM's dense-and-sparse decomposition (arXiv 2306.07629).
import { createMatrix, type Matrix } from "./matrix.ts";
import type { Splitter } from "./recipe.ts";

/** Which weights are kept. */
export interface SparseSplitOptions {
  /** Fraction of weights kept because an error in them costs most, by `sensitivity`. Default 0.0005. */
  readonly sensitive?: number;
  /** Fraction of the remaining weights kept because they are largest. Default 0.004. */
  readonly largest?: number;
  /**
   * What an error in each weight costs, `[outputs, inputs]`, such as squared gradients. Default: `H_jj * w^2`, the cost of
   * losing the weight altogether by the Hessian's diagonal.
   */
  readonly sensitivity?: Matrix;
}

/** Rows of a sparse matrix, compressed. */
export interface SparseRows {
  /** Entries row after row. */
  readonly values: Float32Array<ArrayBuffer>;
  /** Column of each entry. */
  readonly columns: Uint32Array<ArrayBuffer>;
  /** First entry of each row, and the number of entries at the end, `[rows + 1]`. */
  readonly offsets: Uint32Array<ArrayBuffer>;
}

/** Marks the `count` largest of the unmarked entries; of equal ones the first. */
function markLargest(mask: Uint8Array, score: (i: number) => number, count: number): void {
  const scores = new Float64Array(mask.length);
  for (let i = 0; i < mask.length; i++) scores[i] = mask[i] ? -Infinity : score(i);
  if (count === 0) return;
  const threshold = scores.toSorted()[mask.length - count];
  let left = count;
  for (let i = 0; i < mask.length; i++) if (scores[i] > threshold) mask[i] = 1, left--;
  for (let i = 0; i < mask.length && left > 0; i++) if (scores[i] === threshold) mask[i] = 1, left--;
}

/**
 * Chooses the weights to keep.
 *
 * @param weight `[outputs, inputs]`.
 * @param hessian `[inputs, inputs]`; only its diagonal is read.
 * @param options Fractions and sensitivity.
 * @returns 1 where a weight is kept, `[outputs, inputs]`.
 * @throws {RangeError} If a fraction is not in [0, 1].
 */
export function sparseMask(
  weight: Matrix,
  hessian: Matrix,
  options: SparseSplitOptions = {},
): Uint8Array<ArrayBuffer> {
  const { sensitive = 0.0005, largest = 0.004, sensitivity } = options, { data, cols } = weight;
  if (!(sensitive >= 0 && largest >= 0 && sensitive + largest <= 1)) {
    throw new RangeError(`Cannot keep fractions of ${sensitive} and ${largest} of the weights`);
  }
  const mask = new Uint8Array(data.length);
  const cost = sensitivity
    ? (i: number) => sensitivity.data[i]
    : (i: number) => hessian.data[(i % cols) * (cols + 1)] * data[i] * data[i];
  markLargest(mask, cost, Math.round(sensitive * data.length));
  markLargest(mask, (i) => Math.abs(data[i]), Math.round(largest * data.length));
  return mask;
}

/**
 * The nonzero entries of a matrix.
 *
 * @param matrix `[rows, cols]`.
 * @returns Values, columns and offsets.
 */
export function toSparseRows({ data, rows, cols }: Matrix): SparseRows {
  const indices = Uint32Array.from(data.keys()).filter((i) => data[i] !== 0);
  const offsets = new Uint32Array(rows + 1);
  for (const i of indices) offsets[Math.floor(i / cols) + 1]++;
  for (let r = 0; r < rows; r++) offsets[r + 1] += offsets[r];
  return {
    values: Float32Array.from(indices, (i) => data[i]),
    columns: indices.map((i) => i % cols),
    offsets,
  };
}

/**
 * The dense matrix of a sparse one.
 *
 * @param sparse The entries.
 * @param cols Number of columns.
 * @returns `[rows, cols]`.
 */
export function fromSparseRows({ values, columns, offsets }: SparseRows, cols: number): Matrix {
  const result = createMatrix(offsets.length - 1, cols);
  for (let r = 0; r < result.rows; r++) {
    for (let i = offsets[r]; i < offsets[r + 1]; i++) result.data[r * cols + columns[i]] = values[i];
  }
  return result;
}

/**
 * Dense-and-sparse as a step of a recipe. What is kept is stored as value and 16-bit column per entry and a 32-bit offset
 * per row; rows are restored exactly where entries were kept.
 *
 * @param options Which weights are kept.
 * @returns The splitter.
 */
export function sparseSplit(options: SparseSplitOptions = {}): Splitter {
  return {
    name: "dense-and-sparse",
    split(weight, { hessian }) {
      const sparse = sparseMask(weight, hessian, options);
      const count = sparse.reduce((sum, kept) => sum + kept, 0);
      return {
        sparse,
        rest: createMatrix(weight.rows, weight.cols, weight.data.map((w, i) => sparse[i] ? 0 : w)),
        storedBits: count * (16 + (weight.cols > 65536 ? 32 : 16)) + 32 * (weight.rows + 1),
      };
    },
  };
}
