// Kurtosis as a measure of outliers and as a training penalty against them (arXiv 2404.03605; KURE, arXiv 2002.07686).
import { createMatrix, type Matrix } from "./matrix.ts";

/** Keeps constant rows finite. */
const EPSILON = 1e-12;

/** A training penalty and its gradient. */
export interface Penalty {
  /** Value of the penalty. */
  readonly loss: number;
  /** Its gradient by every element of the input, in the input's shape. */
  readonly gradient: Matrix;
}

/** Options of {@linkcode kurtosisPenalty}. */
export interface KurtosisPenaltyOptions {
  /** Factor of the sum. Default 1e-5. */
  readonly strength?: number;
  /**
   * Penalizes the squared distance of each row's kurtosis from this value (KURE's 1.8 is that of a uniform distribution).
   * Default: the kurtosis itself is penalized.
   */
  readonly target?: number;
}

/**
 * Kurtosis of each row, `mean((y - mean)^4) / variance^2`: 1.8 for uniform values, 3 for normal ones, large when a few
 * values stand out. Does not change with the scale or the offset of a row.
 *
 * @param matrix `[rows, cols]`, such as the outputs of a layer per token.
 * @returns One value per row; 0 for a constant row.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, kurtosis } from "@quik/quant/quant";
 * import { assertAlmostEquals } from "@std/assert";
 *
 * const rows = createMatrix(2, 4, Float32Array.of(-1, 1, -1, 1, 0, 0, 0, 9));
 * assertAlmostEquals(kurtosis(rows)[0], 1, 1e-9);
 * assertAlmostEquals(kurtosis(rows)[1], 4 - 2 + 1 / 3, 1e-9);
 * ```
 */
export function kurtosis(matrix: Matrix): Float64Array<ArrayBuffer> {
  return Float64Array.from({ length: matrix.rows }, (_, row) => {
    const { square, fourth } = momentsOf(rowOf(matrix, row));
    return fourth / (square * square + EPSILON);
  });
}

/**
 * The sum over rows of their kurtosis (or of its squared distance from a target), times a strength, with its gradient.
 *
 * @param matrix `[rows, cols]`.
 * @param options Strength and target.
 * @returns The penalty and its gradient.
 */
export function kurtosisPenalty(matrix: Matrix, options: KurtosisPenaltyOptions = {}): Penalty {
  const { strength = 1e-5, target } = options;
  const gradient = createMatrix(matrix.rows, matrix.cols);
  let loss = 0;
  for (let row = 0; row < matrix.rows; row++) {
    const values = rowOf(matrix, row);
    const { mean, square, cube, fourth } = momentsOf(values);
    const denominator = square * square + EPSILON;
    const value = fourth / denominator;
    const distance = target === undefined ? 0 : value - target;
    loss += strength * (target === undefined ? value : distance * distance);
    const outer = strength * (target === undefined ? 1 : 2 * distance);
    for (let i = 0; i < values.length; i++) {
      const d = values[i] - mean;
      const byFourth = 4 * (d * d * d - cube) / values.length;
      const bySquare = 2 * d / values.length;
      gradient.data[row * matrix.cols + i] = outer *
        (byFourth - value * 2 * square * bySquare) / denominator;
    }
  }
  return { loss, gradient };
}

function rowOf(matrix: Matrix, row: number): Float32Array {
  return matrix.data.subarray(row * matrix.cols, (row + 1) * matrix.cols);
}

/** Mean and the central moments of order 2, 3 and 4. */
function momentsOf(values: Float32Array): { mean: number; square: number; cube: number; fourth: number } {
  let mean = 0;
  for (const value of values) mean += value / values.length;
  let [square, cube, fourth] = [0, 0, 0];
  for (const value of values) {
    const d = value - mean;
    square += d * d;
    cube += d * d * d;
    fourth += d * d * d * d;
  }
  return { mean, square: square / values.length, cube: cube / values.length, fourth: fourth / values.length };
}
