// Low-rank branches beside a quantized weight: how to find them, multiply by them, and train them.
import { float16 } from "../formats/mod.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import {
  createMatrix64,
  type Matrix64,
  multiply64,
  multiplyTransposed64,
  toMatrix,
  toMatrix64,
  transpose64,
} from "./matrix64.ts";
import { type SvdResult, truncatedSvd, type TruncatedSvdOptions } from "./svd.ts";

/** A product of two thin matrices, `up * down`, that stands for a matrix `[outputs, inputs]`. */
export interface LowRank {
  /** `[outputs, rank]`; LoRA's B. */
  readonly up: Matrix;
  /** `[rank, inputs]`; LoRA's A. */
  readonly down: Matrix;
}

/** Options of {@linkcode lowRankOf}. */
export interface LowRankOptions extends TruncatedSvdOptions {
  /**
   * Where the singular values go: `up` holds all of them (SVDQuant), or each factor their square roots (LoftQ).
   * Default `up`.
   */
  readonly split?: "up" | "even";
  /** Type in which the factors are stored. Default float32. */
  readonly storage?: "float32" | "float16";
}

/** A low-rank approximation and the subspace that a nearby one can start from. */
export interface LowRankResult extends LowRank {
  /** `[inputs, rank]`, the right singular vectors; pass them as `start` for a matrix close to this one. */
  readonly vectors: Matrix64;
}

/**
 * The best approximation of a matrix by one of low rank, up to the rounding of its stored factors (Eckart and Young).
 *
 * @param matrix `[outputs, inputs]`.
 * @param rank Rank of the approximation, clamped to the smaller side.
 * @param options Split of the singular values, storage, and accuracy of the decomposition.
 * @returns The factors.
 * @throws {RangeError} If the rank is not a positive integer.
 */
export function lowRankOf(matrix: Matrix, rank: number, options: LowRankOptions = {}): LowRankResult {
  return lowRankFactors(truncatedSvd(toMatrix64(matrix), rank, options), options);
}

/**
 * The factors of a low-rank approximation from the leading singular triplets of the matrix.
 *
 * @param triplets As many as the rank.
 * @param options Split of the singular values and storage.
 * @returns The factors.
 */
export function lowRankFactors(
  { u, s, v }: SvdResult,
  options: Pick<LowRankOptions, "split" | "storage"> = {},
): LowRankResult {
  const { split = "up", storage = "float32" } = options;
  const store = storage === "float16" ? roundToFloat16 : (m: Matrix): Matrix => m;
  const upFactor = split === "up" ? s : s.map(Math.sqrt);
  const downFactor = split === "up" ? new Float64Array(s.length).fill(1) : upFactor;
  return {
    up: store(toMatrix(scaleColumns(u, upFactor))),
    down: store(toMatrix(transpose64(scaleColumns(v, downFactor)))),
    vectors: v,
  };
}

/** The matrix `up * down` that a branch stands for, `[outputs, inputs]`. */
export function lowRankMatrix(branch: LowRank): Matrix {
  return toMatrix(multiply64(toMatrix64(branch.up), toMatrix64(branch.down)));
}

/** The bits that a branch stores, at a number of bits per value. */
export function lowRankBits(branch: LowRank, bitsPerValue = 16): number {
  return (branch.up.data.length + branch.down.data.length) * bitsPerValue;
}

/** Options of {@linkcode lowRankForward}. */
export interface AdapterOptions {
  /** Factor of the branch; LoRA's `alpha / rank`. Default 1. */
  readonly scaling?: number;
}

/** Gradients through {@linkcode lowRankForward}. */
export interface LowRankGradients {
  /** By the input, `[tokens, inputs]`. */
  readonly input: Matrix;
  /** By `up`, `[outputs, rank]`. */
  readonly up: Matrix;
  /** By `down`, `[rank, inputs]`. */
  readonly down: Matrix;
}

/**
 * What a branch adds to a layer's output: `scaling * (x * down^T) * up^T`.
 *
 * @param input `[tokens, inputs]`.
 * @param branch The factors.
 * @param options Scaling.
 * @returns `[tokens, outputs]`.
 */
export function lowRankForward(input: Matrix, branch: LowRank, options: AdapterOptions = {}): Matrix {
  const hidden = multiplyTransposed64(toMatrix64(input), toMatrix64(branch.down));
  return toMatrix(scaled(multiplyTransposed64(hidden, toMatrix64(branch.up)), options.scaling ?? 1));
}

/**
 * The gradients of {@linkcode lowRankForward}, for training a branch as a LoRA adapter.
 *
 * @param input The input of the forward, `[tokens, inputs]`.
 * @param gradient Gradient of the loss by the branch's output, `[tokens, outputs]`.
 * @param branch The factors.
 * @param options The same scaling as forward.
 * @returns The gradients by the input and by both factors.
 */
export function lowRankBackward(
  input: Matrix,
  gradient: Matrix,
  branch: LowRank,
  options: AdapterOptions = {},
): LowRankGradients {
  const [x, up, down] = [toMatrix64(input), toMatrix64(branch.up), toMatrix64(branch.down)];
  const byOutput = scaled(toMatrix64(gradient), options.scaling ?? 1);
  const hidden = multiplyTransposed64(x, down);
  const byHidden = multiply64(byOutput, up);
  return {
    input: toMatrix(multiply64(byHidden, down)),
    up: toMatrix(multiply64(transpose64(byOutput), hidden)),
    down: toMatrix(multiply64(transpose64(byHidden), x)),
  };
}

/** Rounds every value to float16. */
export function roundToFloat16(matrix: Matrix): Matrix {
  return createMatrix(
    matrix.rows,
    matrix.cols,
    matrix.data.map((value) => float16.decode(float16.encode(value))),
  );
}

function scaleColumns(matrix: Matrix64, factors: Float64Array): Matrix64 {
  const { data, rows, cols } = matrix;
  return createMatrix64(rows, cols, data.map((value, i) => value * factors[i % cols]));
}

function scaled(matrix: Matrix64, factor: number): Matrix64 {
  return createMatrix64(matrix.rows, matrix.cols, matrix.data.map((value) => value * factor));
}
