// OmniQuant's learnable weight clipping (arXiv 2308.13137): the two ends of each group's range shrink by factors found by
// gradient descent on the layer's output error.
import { storedHalf } from "./_stored_half.ts";
import { createAdam } from "./adam.ts";
import { roundHalfEven } from "../formats/mod.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { createMatrix64, type Matrix64, multiplyTransposed64, toMatrix64 } from "./matrix64.ts";
import type { Rounder } from "./recipe.ts";

/** Logits of the factors on both ends of a range: `max' = sigmoid(high) * max`, `min' = sigmoid(low) * min`. */
export interface RangeLogits {
  /** Of the minimum; OmniQuant's beta. */
  readonly low: number;
  /** Of the maximum; OmniQuant's gamma. */
  readonly high: number;
}

/** OmniQuant's start: both ends at 98.2 %. */
export const INITIAL_LOGIT = 4;

const MIN_SCALE = 1e-5, MAX_SCALE = 1e4;

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** The affine grid of a clipped range. */
interface ClippedGrid {
  readonly min: number;
  readonly max: number;
  readonly scale: number;
  readonly zero: number;
  /** Zero point minus what it was rounded from. */
  readonly zeroResidual: number;
  readonly top: number;
}

function clippedGrid(values: ArrayLike<number>, { low, high }: RangeLogits, bits: number): ClippedGrid {
  let min = 0, max = 0;
  for (let i = 0; i < values.length; i++) {
    min = Math.min(min, values[i]);
    max = Math.max(max, values[i]);
  }
  const top = 2 ** bits - 1, width = sigmoid(high) * max - sigmoid(low) * min;
  const scale = storedHalf(Math.min(MAX_SCALE, Math.max(MIN_SCALE, width / top)));
  const real = -sigmoid(low) * min / scale, zero = roundHalfEven(real);
  return { min, max, scale, zero, zeroResidual: zero - real, top };
}

/**
 * Rounds a group within its clipped range.
 *
 * @param values Weights of the group.
 * @param logits The factors; infinite ones clip nothing: plain asymmetric rounding.
 * @param bits Bits of a code.
 * @returns Dequantized weights.
 */
export function roundInRange(
  values: ArrayLike<number>,
  logits: RangeLogits,
  bits: number,
): Float32Array<ArrayBuffer> {
  const { scale, zero, top } = clippedGrid(values, logits, bits), result = new Float32Array(values.length);
  for (let i = 0; i < result.length; i++) {
    const code = roundHalfEven(values[i] / scale) + zero;
    result[i] = scale * ((code < 0 ? 0 : code > top ? top : code) - zero);
  }
  return result;
}

/**
 * Gradients of {@linkcode roundInRange} with rounding residuals held fixed (straight-through): inside the range a weight
 * is `w + scale * residual`; beyond it, the end of the range minus `scale` times the zero point's residual.
 *
 * @param values Weights of the group.
 * @param logits The factors.
 * @param options Bits, and the gradient with respect to the dequantized weights.
 * @returns Gradients with respect to the logits.
 */
export function roundInRangeBackward(
  values: ArrayLike<number>,
  logits: RangeLogits,
  options: { readonly bits: number; readonly gradient: ArrayLike<number> },
): RangeLogits {
  const { gradient } = options;
  const { min, max, scale, zero, zeroResidual, top } = clippedGrid(values, logits, options.bits);
  let byScale = 0, byMin = 0, byMax = 0;
  for (let i = 0; i < values.length; i++) {
    const ratio = values[i] / scale, level = roundHalfEven(ratio) + zero;
    if (level >= 0 && level <= top) byScale += gradient[i] * (roundHalfEven(ratio) - ratio);
    else {
      byScale -= gradient[i] * zeroResidual;
      if (level < 0) byMin += gradient[i];
      else byMax += gradient[i];
    }
  }
  const slope = (logit: number): number => sigmoid(logit) * (1 - sigmoid(logit));
  const fixed = scale <= storedHalf(MIN_SCALE) || scale >= storedHalf(MAX_SCALE);
  const byWidth = fixed ? 0 : byScale / top;
  return {
    low: (byMin - byWidth) * min * slope(logits.low),
    high: (byMax + byWidth) * max * slope(logits.high),
  };
}

/** How {@linkcode learnRanges} learns. */
export interface LearnRangesOptions {
  /** `x^T x` of the layer's inputs times any factor, `[inputs, inputs]`. */
  readonly hessian: Matrix;
  /** Bits of a code. */
  readonly bits: number;
  /** Weights of a row that share a range. Default: the whole row. */
  readonly groupSize?: number;
  /** Steps of Adam. Default 6. */
  readonly iterations?: number;
  /** Adam's step, in logits. Default 0.25; OmniQuant takes 0.01 over many more steps. */
  readonly learningRate?: number;
}

/** Learned ranges. */
export interface LearnedRanges {
  /** Dequantized, `[outputs, inputs]`: of each row the best that was seen, plain rounding included. */
  readonly weight: Matrix;
  /** Logits of the low ends, `[outputs, groups]`, of the last step. */
  readonly low: Float32Array<ArrayBuffer>;
  /** Logits of the high ends. */
  readonly high: Float32Array<ArrayBuffer>;
  /** Sum over rows of the best squared output error, after plain rounding and after each step. */
  readonly losses: readonly number[];
}

/** Candidate factors of the cheap search that learning starts from. */
const FACTORS = [1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5];

const logit = (factor: number): number => factor === 1 ? INITIAL_LOGIT : Math.log(factor / (1 - factor));

/** The factors with the least error weighed by the Hessian's diagonal, one end at a time. */
function searchStart(values: Float32Array, importance: ArrayLike<number>, bits: number): RangeLogits {
  const loss = (logits: RangeLogits): number => {
    const rounded = roundInRange(values, logits, bits);
    let sum = 0;
    for (let i = 0; i < rounded.length; i++) sum += importance[i] * (rounded[i] - values[i]) ** 2;
    return sum;
  };
  let best: RangeLogits = { low: logit(1), high: logit(1) }, bestLoss = loss(best);
  for (const end of ["high", "low", "high"] as const) {
    for (const factor of FACTORS) {
      const candidate = { ...best, [end]: logit(factor) }, candidateLoss = loss(candidate);
      if (candidateLoss < bestLoss) [best, bestLoss] = [candidate, candidateLoss];
    }
  }
  return best;
}

/**
 * Learns the clipped range of each group by gradient descent on the layer's output error `d H d^T`.
 *
 * @param weight `[outputs, inputs]`.
 * @param options Hessian, bits, group size, optimizer.
 * @returns The best weights found for each row; never worse than plain rounding.
 * @throws {RangeError} If the Hessian does not fit.
 */
export function learnRanges(weight: Matrix, options: LearnRangesOptions): LearnedRanges {
  const { hessian, bits, groupSize = weight.cols, iterations = 6, learningRate = 0.25 } = options;
  const { data, rows, cols } = weight, groups = Math.ceil(cols / groupSize);
  if (hessian.rows !== cols) {
    throw new RangeError(`Cannot learn ranges of ${cols} inputs with a Hessian of ${hessian.rows}`);
  }
  const groupAt = (r: number, g: number): Float32Array =>
    data.subarray(r * cols + g * groupSize, r * cols + Math.min((g + 1) * groupSize, cols));
  const diagonal = Float64Array.from({ length: cols }, (_, c) => hessian.data[c * (cols + 1)]);
  // Low and high logits of all groups in one vector, as the optimizer wants them.
  const logits = new Float64Array(2 * rows * groups), gradients = new Float64Array(logits.length);
  const round = (of: (group: number) => RangeLogits): Matrix => {
    const result = createMatrix(rows, cols);
    for (let r = 0; r < rows; r++) {
      for (let g = 0; g < groups; g++) {
        result.data.set(roundInRange(groupAt(r, g), of(r * groups + g), bits), r * cols + g * groupSize);
      }
    }
    return result;
  };
  const logitsOf = (group: number): RangeLogits => ({ low: logits[2 * group], high: logits[2 * group + 1] });

  const best = createMatrix(rows, cols), bestLosses = new Float64Array(rows).fill(Infinity);
  const wide = toMatrix64(hessian), losses: number[] = [];
  // Keeps the rows that improved and returns the gradient of the loss with respect to the rounded weights.
  const consider = (rounded: Matrix): Matrix64 => {
    const change = createMatrix64(rows, cols, Float64Array.from(rounded.data, (q, i) => q - data[i]));
    const product = multiplyTransposed64(change, wide);
    for (let r = 0; r < rows; r++) {
      let loss = 0;
      for (let i = r * cols; i < (r + 1) * cols; i++) loss += change.data[i] * product.data[i];
      if (!(loss < bestLosses[r])) continue;
      bestLosses[r] = loss;
      best.data.set(rounded.data.subarray(r * cols, (r + 1) * cols), r * cols);
    }
    losses.push(bestLosses.reduce((sum, loss) => sum + loss, 0));
    return product;
  };

  consider(round(() => ({ low: Infinity, high: Infinity })));
  for (let r = 0; r < rows; r++) {
    for (let g = 0; g < groups; g++) {
      const start = searchStart(groupAt(r, g), diagonal.subarray(g * groupSize), bits);
      logits.set([start.low, start.high], 2 * (r * groups + g));
    }
  }
  const adam = createAdam(logits.length);
  for (let iteration = 0; iteration <= iterations; iteration++) {
    const product = consider(round(logitsOf));
    if (iteration === iterations) break;
    for (let group = 0; group < rows * groups; group++) {
      const r = Math.floor(group / groups), g = group % groups, offset = r * cols + g * groupSize;
      const gradient = product.data.subarray(offset, offset + groupSize);
      const { low, high } = roundInRangeBackward(groupAt(r, g), logitsOf(group), { bits, gradient });
      gradients.set([low, high], 2 * group);
    }
    adam.step(logits, gradients, learningRate);
  }
  return {
    weight: best,
    low: Float32Array.from({ length: rows * groups }, (_, g) => logits[2 * g]),
    high: Float32Array.from({ length: rows * groups }, (_, g) => logits[2 * g + 1]),
    losses,
  };
}

/** OmniQuant's learned clipping as the rounding step of a recipe. Takes no outliers. */
export function learnedRangeRounder(options: Omit<LearnRangesOptions, "hessian">): Rounder {
  const { bits } = options;
  return {
    name: `learned-range uint${bits}`,
    bits,
    round(weight, { calibration: { hessian }, outliers }) {
      if (outliers.length > 0) throw new TypeError("Cannot combine learned clipping with outlier columns");
      const groups = weight.rows * Math.ceil(weight.cols / (options.groupSize ?? weight.cols));
      const { weight: rounded } = learnRanges(weight, { ...options, hessian });
      return { weight: rounded, storedBits: bits * weight.data.length + (16 + bits) * groups };
    },
  };
}
