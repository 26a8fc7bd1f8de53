// Rules that narrow the range of a block before its scale is computed: giving up the extremes makes the steps smaller.
import { outputError, powerError, whitenedError } from "./_clip_errors.ts";
import { dampedInverseFactor, type DampedInverseFactorOptions } from "./cholesky.ts";
import type { BlockPlace } from "./granularity.ts";
import type { ValueRange } from "./mapping.ts";
import type { Matrix } from "./matrix.ts";
import { toMatrix64 } from "./matrix64.ts";
import { createPower } from "./_power.ts";

/** One block of values as a clip rule sees it. Nothing in it may be changed or kept. */
export interface ClipBlock {
  /** The values, row-major. */
  readonly values: Float32Array<ArrayBuffer>;
  /** Where the block lies. */
  readonly place: BlockPlace;
  /** Lowest and highest value. */
  readonly fullRange: ValueRange;
  /** How much an error in each value matters, if the caller knows. */
  readonly importance?: ArrayLike<number>;
  /**
   * What the values become, quantized with the parameters of a range: all, or those from `start` to `end`, at their own
   * indices. Overwritten by the next call.
   */
  reconstruct(range: ValueRange, start?: number, end?: number): Float32Array<ArrayBuffer>;
}

/** Narrows the range of a block. A user's own rule is an object of this shape. */
export interface ClipRule {
  /** The name it is known by. */
  readonly name: string;
  /** The range that the scale is to cover. */
  range(block: ClipBlock): ValueRange;
}

/** Candidates of a search: the full range shrunk to `p = 1 - i / grid` of itself, for every `p > 1 - maxShrink`. */
export interface ClipGrid {
  /** Steps between no shrinking and nothing left. */
  readonly grid?: number;
  /** How much of the range may be given up. */
  readonly maxShrink?: number;
}

/** Options of {@linkcode mseClip}. */
export interface MseClipOptions extends ClipGrid {
  /**
   * Exponent of the error: `sum |q(x) - x|^exponent` is made smallest.
   *
   * @default {2.4}
   */
  readonly exponent?: number;
  /**
   * Weighs each error by the importance of its value, where the caller knows it.
   *
   * @default {false}
   */
  readonly weighted?: boolean;
}

/**
 * The search of GPTQ, QuaRot and QUIK (`mse-grid`): of 80 shrunken ranges, `p` from 1 to 0.21, the one with the least
 * `sum |q(x) - x|^2.4`; of equal ones the widest. The QUIK paper says squared error; its code has 2.4.
 *
 * @param options Exponent and candidates; by default a grid of 100 and a shrink of 0.8.
 * @returns The rule.
 */
export function mseClip(options: MseClipOptions = {}): ClipRule {
  const { exponent = 2.4, weighted = false, grid = 100, maxShrink = 0.8 } = options;
  const power = createPower(exponent);
  return {
    name: "mse-grid",
    range: (block) => {
      const weights = weighted ? block.importance : undefined;
      return searchRange(block, { grid, maxShrink }, (range, limit) => {
        return powerError(block, range, { power, weights, limit });
      });
    },
  };
}

/**
 * The search of AWQ's clipping (`output-grid`): the range with the least squared error of `x * w^T` over sampled inputs,
 * each block scored alone.
 *
 * @param inputs Sampled inputs of the layer, `[samples, columns]`.
 * @param options Candidates; by default a grid of 20 and a shrink of 0.5.
 * @returns The rule, for weights `[outputs, columns]`.
 */
export function outputClip(inputs: Matrix, options: ClipGrid = {}): ClipRule {
  const { grid = 20, maxShrink = 0.5 } = options;
  return {
    name: "output-grid",
    range: (block) =>
      searchRange(block, { grid, maxShrink }, (range, limit) => outputError(block, range, { inputs, limit })),
  };
}

/** Options of {@linkcode hessianClip}. */
export interface HessianClipOptions extends ClipGrid, DampedInverseFactorOptions {}

/**
 * The search of MARLIN's calibration (`hessian-grid`): the range with the least error as GPTQ will measure it,
 * `||(q(w) - w) U^-1||^2` with `inverse(H) = U^T U` restricted to the block's columns.
 *
 * @param hessian `x^T x` of the layer's inputs times any factor, `[columns, columns]`.
 * @param options Candidates, by default a grid of 100 and a shrink of 0.76, and the damping, by default 0.1.
 * @returns The rule, for weights `[outputs, columns]`.
 * @throws {RangeError} If the Hessian cannot be factored.
 */
export function hessianClip(hessian: Matrix, options: HessianClipOptions = {}): ClipRule {
  const { grid = 100, maxShrink = 0.76, percDamp = 0.1 } = options;
  const { factor } = dampedInverseFactor(toMatrix64(hessian), { percDamp });
  return {
    name: "hessian-grid",
    range: (block) =>
      searchRange(
        block,
        { grid, maxShrink },
        (range, limit) => whitenedError(block, range, { factor, limit }),
      ),
  };
}

/**
 * Covers a share of each block: the range from the quantile `1 - share` to the quantile `share` (linear interpolation).
 *
 * @param share The upper quantile, above 0.5 and at most 1, such as 0.999.
 * @returns The rule.
 * @throws {RangeError} If the share is out of range.
 */
export function percentileClip(share: number): ClipRule {
  if (!(share > 0.5 && share <= 1)) {
    throw new RangeError(`Cannot clip to a percentile of ${share}: it must be above 0.5 and at most 1`);
  }
  return {
    name: "percentile",
    range: (block) => {
      const sorted = block.values.filter((value) => !Number.isNaN(value)).sort();
      return { min: quantile(sorted, 1 - share), max: quantile(sorted, share) };
    },
  };
}

/**
 * Shrinks every range by the same factor, as QuaRot's 0.9 for activations.
 *
 * @param ratio The factor, above 0 and at most 1.
 * @returns The rule.
 * @throws {RangeError} If the ratio is out of range.
 */
export function ratioClip(ratio: number): ClipRule {
  if (!(ratio > 0 && ratio <= 1)) {
    throw new RangeError(`Cannot clip to a ratio of ${ratio}: it must be above 0 and at most 1`);
  }
  return {
    name: "ratio",
    range: ({ fullRange }) => ({
      min: Math.fround(fullRange.min * ratio),
      max: Math.fround(fullRange.max * ratio),
    }),
  };
}

/**
 * The range of least error among the candidates; of equal ones the widest. For clip rules of one's own.
 *
 * @param block The block.
 * @param candidates The grid of candidates.
 * @param errorOf The error with the parameters of a range. It may stop early and return anything of at least `limit`.
 * @returns The range.
 * @throws {RangeError} If the candidates do not include the full range.
 */
export function searchRange(
  block: ClipBlock,
  candidates: Required<ClipGrid>,
  errorOf: (range: ValueRange, limit: number) => number,
): ValueRange {
  const { grid, maxShrink } = candidates;
  const count = Math.trunc(maxShrink * grid);
  if (!(grid >= 1 && maxShrink <= 1 && count >= 1)) {
    throw new RangeError(
      `Cannot search ranges with a grid of ${grid} and a shrink of ${maxShrink}: there is no candidate`,
    );
  }
  let best = block.fullRange;
  let bestError = errorOf(best, Infinity);
  for (let i = 1; i < count; i++) {
    const p = Math.fround(1 - i / grid);
    const range = { min: Math.fround(p * block.fullRange.min), max: Math.fround(p * block.fullRange.max) };
    const error = errorOf(range, bestError);
    if (error < bestError) [best, bestError] = [range, error];
  }
  return best;
}

/** Quantile of ascending values with linear interpolation between neighbors; 0 of no values. */
function quantile(sorted: Float32Array<ArrayBuffer>, share: number): number {
  if (sorted.length === 0) return 0;
  const position = share * (sorted.length - 1);
  const lower = Math.floor(position);
  const upper = Math.min(lower + 1, sorted.length - 1);
  return Math.fround(sorted[lower] + (sorted[upper] - sorted[lower]) * (position - lower));
}
