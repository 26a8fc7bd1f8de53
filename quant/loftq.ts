// LoftQ (arXiv 2310.08659): adapters that start where quantization left off, so that weight + branch is close to the
// original before any training.
import { squaredNorm, subtract } from "./_matrix_ops.ts";
import { type LowRankSteps, runOnHost } from "./decomposer.ts";
import { type LowRank, lowRankMatrix } from "./low_rank.ts";
import type { Matrix } from "./matrix.ts";

/** Options of {@linkcode loftq}. */
export interface LoftqOptions {
  /** Quantizes and dequantizes a weight of the layer's shape. */
  readonly quantize: (weight: Matrix) => Matrix;
  /** Rank of the adapter. Default 16. */
  readonly rank?: number;
  /** Alternations of quantization and decomposition; 1 decomposes the plain quantization error. Default 5. */
  readonly iterations?: number;
  /** Type in which the adapter is stored. Default float16. */
  readonly storage?: "float32" | "float16";
}

/** Squared errors of one alternation. */
export interface LoftqStep {
  /** `||W - Q||^2`, without the adapter. */
  readonly quantized: number;
  /** `||W - Q - up * down||^2`. */
  readonly withAdapter: number;
}

/** What {@linkcode loftq} found. */
export interface LoftqResult {
  /** The quantized weight of the best step. */
  readonly weight: Matrix;
  /** Its adapter. */
  readonly branch: LowRank;
  /** All steps, in order. Not monotone, which is why the best one is kept. */
  readonly steps: readonly LoftqStep[];
}

/**
 * Alternates `Q = quantize(W - up * down)` and `up * down = best rank-r approximation of W - Q`, and keeps the step with
 * the least error.
 *
 * @param weight `[outputs, inputs]`.
 * @param options Quantizer, rank and iterations.
 * @returns The quantized weight and the adapter to add to it.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, loftq } from "@quik/quant/quant";
 * import { assert } from "@std/assert";
 *
 * const weight = createMatrix(2, 2, Float32Array.of(0.6, 1.2, -0.7, 0.4));
 * const round = (w: typeof weight) => createMatrix(2, 2, w.data.map(Math.round));
 * const { steps } = loftq(weight, { quantize: round, rank: 1 });
 * assert(steps[0].withAdapter < steps[0].quantized);
 * ```
 */
export function loftq(weight: Matrix, options: LoftqOptions): LoftqResult {
  return runOnHost(loftqSteps(weight, options));
}

/**
 * {@linkcode loftq} without its decompositions, for {@linkcode runWithDecomposer}.
 *
 * @param weight `[outputs, inputs]`.
 * @param options Quantizer, rank and iterations.
 * @returns The quantized weight and the adapter to add to it.
 */
export function* loftqSteps(weight: Matrix, options: LoftqOptions): LowRankSteps<LoftqResult> {
  const { quantize, rank = 16, iterations = 5, storage = "float16" } = options;
  const steps: LoftqStep[] = [];
  let best: { weight: Matrix; branch: LowRank; error: number } | undefined;
  let target = weight;
  for (let step = 0; step < iterations; step++) {
    const quantized = quantize(target);
    const residual = subtract(weight, quantized);
    const branch = yield { matrix: residual, rank, options: { split: "even", storage } };
    const correction = lowRankMatrix(branch);
    const error = squaredNorm(subtract(residual, correction));
    steps.push({ quantized: squaredNorm(residual), withAdapter: error });
    if (best === undefined || error < best.error) best = { weight: quantized, branch, error };
    target = subtract(weight, correction);
  }
  if (best === undefined) throw new RangeError(`Cannot run ${iterations} iterations of LoftQ: it needs one`);
  return { weight: best.weight, branch: { up: best.branch.up, down: best.branch.down }, steps };
}
