// Where the decompositions of a low-rank method run: its algorithm is a generator that yields each and goes on with the result.
import { lowRankFactors, lowRankOf, type LowRankOptions, type LowRankResult } from "./low_rank.ts";
import type { Matrix } from "./matrix.ts";
import type { SvdResult, TruncatedSvdOptions } from "./svd.ts";

/**
 * Finds the leading singular triplets of a matrix, such as `deviceTruncatedSvd` on a backend:
 * `(matrix, rank, options) => deviceTruncatedSvd(backend, matrix, rank, options)`.
 */
export type Decomposer = (
  matrix: Matrix,
  rank: number,
  options: TruncatedSvdOptions,
) => SvdResult | Promise<SvdResult>;

/** A low-rank approximation that an algorithm needs. */
export interface LowRankRequest {
  /** `[outputs, inputs]`. */
  readonly matrix: Matrix;
  /** Rank of the approximation. */
  readonly rank: number;
  /** Split, storage, accuracy and start. */
  readonly options: LowRankOptions;
}

/** An algorithm without its decompositions: yields what it needs, is resumed with it, and returns what it found. */
export type LowRankSteps<T> = Generator<LowRankRequest, T, LowRankResult>;

/**
 * Runs an algorithm with its decompositions on the host.
 *
 * @param steps The algorithm.
 * @returns What it found.
 */
export function runOnHost<T>(steps: LowRankSteps<T>): T {
  let step = steps.next();
  while (!step.done) {
    const { matrix, rank, options } = step.value;
    step = steps.next(lowRankOf(matrix, rank, options));
  }
  return step.value;
}

/**
 * Runs an algorithm with its decompositions elsewhere.
 *
 * @param steps The algorithm.
 * @param decompose Finds the triplets.
 * @returns What it found.
 */
export async function runWithDecomposer<T>(steps: LowRankSteps<T>, decompose: Decomposer): Promise<T> {
  let step = steps.next();
  while (!step.done) {
    const { matrix, rank, options } = step.value;
    step = steps.next(lowRankFactors(await decompose(matrix, rank, options), options));
  }
  return step.value;
}
