// Smoothing: dividing input columns by scales that the weights take up, so that activations quantize better. SmoothQuant
// (arXiv 2211.10438), logarithmic equalization of FPTQ (2308.15987) and percentile smoothing of DGQ (2310.04836).
import { columnAbsmax } from "./_matrix_ops.ts";
import type { Matrix } from "./matrix.ts";
import { scaleTransform, type TransformFinder } from "./transform.ts";

/** How {@linkcode smoothScale} balances. */
export interface SmoothOptions {
  /** How much of the range moves into the weights, 0 to 1. Default 0.5; 0.75 to 0.9 for models with stronger outliers. */
  readonly alpha?: number;
}

const MIN_SCALE = 1e-5;

/**
 * SmoothQuant's scales, `max|x_j|^alpha / max|w_j|^(1 - alpha)`, at least 1e-5.
 *
 * @param absmax `max |x_j|` per input column.
 * @param weights Weights `[outputs, inputs]` of all layers that share the input.
 * @param options The exponent.
 * @returns What input columns are divided by, `[inputs]`.
 * @throws {RangeError} If alpha is not in [0, 1].
 *
 * @example Usage
 * ```ts
 * import { createMatrix, smoothScale } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const scale = smoothScale(Float32Array.of(64, 1), [createMatrix(1, 2, Float32Array.of(4, 1))]);
 * assertEquals(scale, Float32Array.of(4, 1)); // sqrt(64 / 4)
 * ```
 */
export function smoothScale(
  absmax: Float32Array,
  weights: readonly Matrix[],
  options: SmoothOptions = {},
): Float32Array<ArrayBuffer> {
  const { alpha = 0.5 } = options;
  if (!(alpha >= 0 && alpha <= 1)) {
    throw new RangeError(`Cannot smooth with alpha ${alpha}: it must be in [0, 1]`);
  }
  const largest = new Float32Array(absmax.length).fill(MIN_SCALE);
  for (const weight of weights) {
    columnAbsmax(weight).forEach((value, c) => largest[c] = Math.max(largest[c], value));
  }
  return Float32Array.from(absmax, (x, c) => Math.max(x ** alpha / largest[c] ** (1 - alpha), MIN_SCALE));
}

/** SmoothQuant as a step of a recipe. */
export function smoothQuant(options: SmoothOptions = {}): TransformFinder {
  return {
    name: "smoothquant",
    find: ({ weight }, { absmax }) => scaleTransform(smoothScale(absmax, [weight], options), "smoothquant"),
  };
}

/**
 * FPTQ's logarithmic equalization, `max|x_j| / log2(2 + max|x_j|)`: each column's range becomes `log2(2 + range)`.
 *
 * @param absmax `max |x_j|` per input column.
 * @returns What input columns are divided by; 1 for columns of zeros.
 */
export function logarithmicScale(absmax: Float32Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(absmax, (x) => x === 0 ? 1 : Math.max(x / Math.log2(2 + x), MIN_SCALE));
}

/** FPTQ's logarithmic equalization as a step of a recipe. */
export function logarithmicEqualization(): TransformFinder {
  return {
    name: "logarithmic-equalization",
    find: (_, { absmax }) => scaleTransform(logarithmicScale(absmax), "logarithmic-equalization"),
  };
}

/** Which columns {@linkcode percentileScale} touches. */
export interface PercentileOptions {
  /** Fraction of columns below the threshold. Default 0.995. */
  readonly percentile?: number;
}

/**
 * DGQ's percentile clipping smoothing, `max(1, max|x_j| / threshold)`: only the largest columns are scaled, down to the
 * threshold, which is the `floor((1 - percentile) * columns + 1.5)`-th largest maximum.
 *
 * @param absmax `max |x_j|` per input column.
 * @param options The percentile.
 * @returns What input columns are divided by.
 * @throws {RangeError} If the percentile is not in (0, 1].
 */
export function percentileScale(
  absmax: Float32Array,
  options: PercentileOptions = {},
): Float32Array<ArrayBuffer> {
  const { percentile = 0.995 } = options;
  if (!(percentile > 0 && percentile <= 1)) {
    throw new RangeError(`Cannot smooth beyond percentile ${percentile}: it must be in (0, 1]`);
  }
  const rank = Math.floor((1 - percentile) * absmax.length + 1.5);
  const threshold = Float32Array.from(absmax).sort()[Math.max(0, absmax.length - rank)];
  return Float32Array.from(absmax, (x) => threshold > 0 ? Math.max(1, x / threshold) : 1);
}

/** DGQ's percentile smoothing as a step of a recipe. */
export function percentileSmooth(options: PercentileOptions = {}): TransformFinder {
  return {
    name: "percentile-smooth",
    find: (_, { absmax }) => scaleTransform(percentileScale(absmax, options), "percentile-smooth"),
  };
}
