// SVDQuant (arXiv 2411.05007): a 16-bit low-rank branch takes what smoothing moved into the weights, so that the rest
// of weights and activations fits 4 bits.
import { columnAbsmax, scaleColumns, subtract } from "./_matrix_ops.ts";
import { type LowRankSteps, runOnHost } from "./decomposer.ts";
import {
  type LowRank,
  lowRankForward,
  lowRankMatrix,
  type LowRankOptions,
  type LowRankResult,
} from "./low_rank.ts";
import type { Matrix } from "./matrix.ts";
import { type Matrix64, multiplyTransposed64, toMatrix, toMatrix64 } from "./matrix64.ts";

/** Options of {@linkcode svdQuant}. */
export interface SvdQuantOptions {
  /** Sample of the layer's inputs, `[tokens, inputs]`: what output errors are measured on. */
  readonly inputs: Matrix;
  /** `max |x_j|` of each input over all calibration tokens, for the smoothing factors. Default: that of the sample. */
  readonly absmax?: Float32Array;
  /** Quantizes and dequantizes the residual weight. It sees smoothed columns. */
  readonly quantizeWeight: (weight: Matrix, smooth: Float32Array) => Matrix;
  /** Quantizes and dequantizes smoothed inputs. Default: left in full precision. */
  readonly quantizeActivation?: (input: Matrix) => Matrix;
  /** Rank of the branch. Default 32. */
  readonly rank?: number;
  /** The smoothing factor per input, found by search, given, or none. Default `search`. */
  readonly smooth?: "search" | "none" | Float32Array<ArrayBuffer>;
  /** Steps of the exponents in the search: 20 gives the authors' 39 candidates. Default 20. */
  readonly searchSteps?: number;
  /** Largest number of alternations of branch and residual after the first. Default 100. */
  readonly iterations?: number;
  /** Type in which the branch is stored. Default float16. */
  readonly storage?: "float32" | "float16";
}

/** A candidate of the smoothing search, `smooth = absmax(x)^alpha / absmax(w)^beta`. */
export interface SmoothCandidate {
  /** Exponent of the inputs. */
  readonly alpha: number;
  /** Exponent of the weights. */
  readonly beta: number;
  /** Squared error of the layer's output. */
  readonly error: number;
}

/** What {@linkcode svdQuant} found. The layer computes `quantize(x / smooth) * weight^T + (x / smooth) * branch`. */
export interface SvdQuantResult {
  /** Divides the inputs, `[inputs]`. */
  readonly smooth: Float32Array<ArrayBuffer>;
  /** The low-rank part of the smoothed weight. */
  readonly branch: LowRank;
  /** The quantized residual, `[outputs, inputs]`. */
  readonly weight: Matrix;
  /** Squared output error after each alternation; the best one is kept, and a rise ends them. */
  readonly errors: readonly number[];
  /** What the search tried, with its estimate of the error; empty without search. The first candidate is no smoothing. */
  readonly candidates: readonly SmoothCandidate[];
}

/** Candidates that are measured again: the search's branches are nearly, not quite, the best ones. */
const SHORTLIST = 3;
/** Smallest magnitude in a smoothing formula. */
const MIN_ABSMAX = 1e-5;

/**
 * Splits a layer into a low-rank branch and a quantized residual.
 *
 * @param weight `[outputs, inputs]`.
 * @param options Inputs, quantizers, rank and search.
 * @returns Smoothing factors, branch and quantized residual.
 * @throws {RangeError} If the inputs do not fit the weight.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, svdQuant, svdQuantForward } from "@quik/quant/quant";
 * import { assertAlmostEquals } from "@std/assert";
 *
 * const weight = createMatrix(2, 2, Float32Array.of(8.3, 0.2, 4.1, -0.3)); // nearly of rank 1
 * const inputs = createMatrix(1, 2, Float32Array.of(1, 1));
 * const round = (w: typeof weight) => createMatrix(2, 2, w.data.map((value) => Math.round(8 * value) / 8));
 * const layer = svdQuant(weight, { inputs, quantizeWeight: round, rank: 1, smooth: "none" });
 * assertAlmostEquals(svdQuantForward(inputs, layer).data[0], 8.5, 0.1);
 * ```
 */
export function svdQuant(weight: Matrix, options: SvdQuantOptions): SvdQuantResult {
  return runOnHost(svdQuantSteps(weight, options));
}

/**
 * {@linkcode svdQuant} without its decompositions, for {@linkcode runWithDecomposer}.
 *
 * @param weight `[outputs, inputs]`.
 * @param options Inputs, quantizers, rank and search.
 * @returns Smoothing factors, branch and quantized residual.
 */
export function* svdQuantSteps(weight: Matrix, options: SvdQuantOptions): LowRankSteps<SvdQuantResult> {
  const { inputs, smooth = "search", iterations = 100, storage = "float16" } = options;
  if (inputs.cols !== weight.cols) {
    throw new RangeError(
      `Cannot measure a layer of ${weight.cols} inputs on inputs of ${inputs.cols} columns`,
    );
  }
  const expected = multiplyTransposed64(toMatrix64(inputs), toMatrix64(weight));
  const candidates = smooth === "search" ? yield* searchSmooth(weight, expected, options) : [];
  const choices = smooth === "search"
    ? shortlist(candidates).map((pair) => smoothOf(options, weight, pair))
    : [smooth === "none" ? new Float32Array(weight.cols).fill(1) : smooth];
  let problem: Problem | undefined, best: Split | undefined;
  for (const factors of choices) {
    const next = smoothedProblem(weight, expected, factors, options);
    const split = yield* splitLayer(next, next.weight, { storage, powerSteps: 2 });
    if (best === undefined || split.error < best.error) [problem, best] = [next, split];
  }
  const errors = [best!.error];
  for (let step = 0; step < iterations; step++) {
    const target = subtract(problem!.weight, best!.weight);
    const split = yield* splitLayer(problem!, target, {
      storage,
      start: best!.branch.vectors,
      powerSteps: 1,
    });
    errors.push(split.error);
    if (split.error >= best!.error) break;
    best = split;
  }
  const { branch, weight: residual } = best!;
  return {
    smooth: problem!.smooth,
    branch: { up: branch.up, down: branch.down },
    weight: residual,
    errors,
    candidates,
  };
}

/**
 * The output of an {@linkcode svdQuant} layer.
 *
 * @param input `[tokens, inputs]`, not smoothed.
 * @param layer What `svdQuant` returned.
 * @param quantizeActivation Quantizes and dequantizes smoothed inputs. Default: left in full precision.
 * @returns `[tokens, outputs]`.
 */
export function svdQuantForward(
  input: Matrix,
  layer: Pick<SvdQuantResult, "smooth" | "branch" | "weight">,
  quantizeActivation: (input: Matrix) => Matrix = (x) => x,
): Matrix {
  const smoothed = scaleColumns(input, layer.smooth.map((factor) => 1 / factor));
  const low = lowRankForward(smoothed, layer.branch);
  const dense = multiplyTransposed64(toMatrix64(quantizeActivation(smoothed)), toMatrix64(layer.weight));
  return toMatrix({ ...dense, data: dense.data.map((value, i) => value + low.data[i]) });
}

/** A layer after smoothing, with what it should output. */
interface Problem {
  readonly inputs: Matrix;
  readonly quantizedInputs: Matrix64;
  readonly weight: Matrix;
  readonly smooth: Float32Array<ArrayBuffer>;
  readonly expected: Matrix64;
  readonly options: SvdQuantOptions;
}

interface Split {
  readonly branch: LowRankResult;
  readonly weight: Matrix;
  readonly error: number;
}

function smoothedProblem(
  weight: Matrix,
  expected: Matrix64,
  smooth: Float32Array<ArrayBuffer>,
  options: SvdQuantOptions,
): Problem {
  const inputs = scaleColumns(options.inputs, smooth.map((factor) => 1 / factor));
  const quantized = options.quantizeActivation?.(inputs) ?? inputs;
  return {
    inputs,
    quantizedInputs: toMatrix64(quantized),
    weight: scaleColumns(weight, smooth),
    smooth,
    expected,
    options,
  };
}

/** Branch of `target`, quantized rest of the smoothed weight, and the output error of the two. */
function* splitLayer(problem: Problem, matrix: Matrix, options: LowRankOptions): LowRankSteps<Split> {
  const { rank = 32, quantizeWeight } = problem.options;
  const branch = yield { matrix, rank, options };
  const weight = quantizeWeight(subtract(problem.weight, lowRankMatrix(branch)), problem.smooth);
  const dense = multiplyTransposed64(problem.quantizedInputs, toMatrix64(weight));
  const low = lowRankForward(problem.inputs, branch);
  let error = 0;
  for (let i = 0; i < dense.data.length; i++) {
    error += (dense.data[i] + low.data[i] - problem.expected.data[i]) ** 2;
  }
  return { branch, weight, error };
}

/**
 * Tries no smoothing, `(alpha, 0)` and `(alpha, 1 - alpha)`, in the order of a path along which the factors change little:
 * `alpha` up at beta 0, then down at beta `1 - alpha`. So the branch of a candidate starts from that of the one before, and a
 * single multiplication by the weight and its transpose finds it. That is what makes all 39 affordable.
 */
function* searchSmooth(
  weight: Matrix,
  expected: Matrix64,
  options: SvdQuantOptions,
): LowRankSteps<SmoothCandidate[]> {
  const { searchSteps = 20 } = options;
  const alphas = Array.from({ length: searchSteps - 1 }, (_, i) => (i + 1) / searchSteps);
  const path = [
    { alpha: 0, beta: 0 },
    ...alphas.map((alpha) => ({ alpha, beta: 0 })),
    ...alphas.toReversed().map((alpha) => ({ alpha, beta: 1 - alpha })),
  ];
  let last: { smooth: Float32Array; vectors: Matrix64 } | undefined;
  const candidates: SmoothCandidate[] = [];
  for (const pair of path) {
    const smooth = smoothOf(options, weight, pair);
    const problem = smoothedProblem(weight, expected, smooth, options);
    const start = last && rescaledRows(last.vectors, smooth.map((factor, j) => factor / last!.smooth[j]));
    const effort = start ? { start, powerSteps: 0, oversample: 4 } : { powerSteps: 2 };
    const { branch, error } = yield* splitLayer(problem, problem.weight, effort);
    last = { smooth, vectors: branch.vectors };
    candidates.push({ ...pair, error });
  }
  return candidates;
}

/** The best candidates of the search and no smoothing, to be measured again with exact branches. */
function shortlist(candidates: readonly SmoothCandidate[]): SmoothCandidate[] {
  const sorted = candidates.slice(1).sort((a, b) => a.error - b.error);
  return [candidates[0], ...sorted.slice(0, SHORTLIST)];
}

/** Row j times `factors[j]`. */
function rescaledRows({ data, rows, cols }: Matrix64, factors: Float32Array): Matrix64 {
  return { rows, cols, data: data.map((value, i) => value * factors[Math.floor(i / cols)]) };
}

function smoothOf(
  { inputs, absmax = columnAbsmax(inputs) }: SvdQuantOptions,
  weight: Matrix,
  { alpha, beta }: Pick<SmoothCandidate, "alpha" | "beta">,
) {
  const w = columnAbsmax(weight);
  return Float32Array.from(
    absmax,
    (value, j) => Math.max(value, MIN_ABSMAX) ** alpha / Math.max(w[j], MIN_ABSMAX) ** beta,
  );
}
