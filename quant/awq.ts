// AWQ (arXiv 2306.00978): scale up the weight columns that meet large activations before rounding, then clip each group.
import { subtract } from "./_matrix_ops.ts";
import { linearProduct } from "./linear_terms.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import type { LayerCalibration } from "./method.ts";
import type { Grid } from "./grid.ts";
import { integerGrid } from "./integer_grid.ts";
import type { Rounder, WeightClipper } from "./recipe.ts";
import { quadraticForm } from "./_quadratic_form.ts";
import { sampleRows } from "./_sample_rows.ts";
import { scaleTransform, type TransformFinder } from "./transform.ts";

/** What {@linkcode awqSearchScale} searches. */
export interface AwqScaleOptions {
  /** How weights will be rounded. */
  readonly rounder: Rounder;
  /** Number of exponents tried, `0, 1/steps, ..., (steps - 1)/steps`. Default 20. */
  readonly steps?: number;
  /** Sampled tokens that the output error is measured on. Default 64. */
  readonly tokens?: number;
}

/** What the search found. */
export interface AwqScale {
  /** What input columns are divided by, `[inputs]`. */
  readonly scale: Float32Array<ArrayBuffer>;
  /** The best exponent. */
  readonly ratio: number;
  /** Mean squared error of the layer's output at each exponent; the first is that of plain rounding. */
  readonly losses: readonly number[];
}

/** `mean|x|^ratio`, at least 1e-4, with the geometric mean of largest and smallest brought to 1. */
function candidateScale(meanAbs: Float32Array, ratio: number): Float32Array<ArrayBuffer> {
  const scale = Float32Array.from(meanAbs, (a) => Math.max(a ** ratio, 1e-4));
  const middle = Math.sqrt(scale.reduce((m, s) => Math.max(m, s)) * scale.reduce((m, s) => Math.min(m, s)));
  return scale.map((s) => s / middle);
}

/**
 * Searches the exponent of AWQ's scales that gives the least output error after rounding.
 *
 * @param weight `[outputs, inputs]`.
 * @param calibration Of the layer's inputs; the sampled rows are used.
 * @param options Rounding, candidates, tokens.
 * @returns The best scales.
 * @throws {RangeError} If no inputs were sampled.
 */
export function awqSearchScale(
  weight: Matrix,
  calibration: LayerCalibration,
  options: AwqScaleOptions,
): AwqScale {
  const { rounder, steps = 20, tokens = 64 } = options;
  const inputs = sampleRows(calibration.inputs, tokens);
  const context = {
    calibration: { ...calibration, hessian: createMatrix(0, 0) },
    outliers: new Uint32Array(0),
  };
  let best: { scale: Float32Array<ArrayBuffer>; ratio: number; loss: number } | undefined;
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const scale = candidateScale(calibration.meanAbs, step / steps), transform = scaleTransform(scale);
    const { weight: rounded } = rounder.round(transform.applyW(weight), context);
    // Back in the units of the original weights, so that the difference meets the original inputs.
    const change = subtract(transform.applyX(rounded), weight);
    const loss = linearProduct(inputs, change).data.reduce((sum, e) => sum + e * e, 0) /
      (inputs.rows * weight.rows);
    losses.push(loss);
    if (!best || loss < best.loss) best = { scale, ratio: step / steps, loss };
  }
  return { scale: best!.scale, ratio: best!.ratio, losses };
}

/** AWQ's scales as a step of a recipe. */
export function awqScale(options: AwqScaleOptions): TransformFinder {
  return {
    name: "awq",
    find: ({ weight }, calibration) =>
      scaleTransform(awqSearchScale(weight, calibration, options).scale, "awq"),
  };
}

/** What {@linkcode awqClip} searches. */
export interface AwqClipOptions {
  /** Bits of the asymmetric integer grid that weights will be rounded to. */
  readonly bits: number;
  /** Weights of a row that are clipped together. Default 128. */
  readonly groupSize?: number;
  /** Candidates are `1 - i / steps`. Default 20. */
  readonly steps?: number;
  /** Candidates go down to `1 - maxShrink`. Default 0.5. */
  readonly maxShrink?: number;
  /** Layers to leave alone, by name: AWQ skips query and key projections. Default /[qk]_proj$/. */
  readonly skip?: RegExp;
  /** Bits in which a scale is stored, as of {@linkcode integerGrid}. Default 16. */
  readonly scaleBits?: number;
}

/**
 * AWQ's clipping as a step of a recipe: per row and group the symmetric limit, out of a grid that holds no clipping, with
 * the least output error of the group alone, `d H d^T` with H the group's block of the Hessian.
 *
 * @param options Bits, group and grid.
 * @returns The clipper.
 */
export function awqClip(options: AwqClipOptions): WeightClipper {
  const { bits, groupSize = 128, steps = 20, maxShrink = 0.5, skip = /[qk]_proj$/ } = options;
  const grid = integerGrid({ bits, mapping: "asym-raw", scaleBits: options.scaleBits });
  const limits = Array.from({ length: Math.trunc(maxShrink * steps) }, (_, i) => 1 - i / steps);
  return {
    name: "awq-clip",
    clip(layer, { hessian }): Matrix {
      const { data, rows, cols } = layer.weight;
      const result = createMatrix(rows, cols, data.slice());
      if (skip.test(layer.name)) return result;
      for (let start = 0; start < cols; start += groupSize) {
        const end = Math.min(start + groupSize, cols);
        for (let r = 0; r < rows; r++) {
          const values = data.slice(r * cols + start, r * cols + end);
          const clipped = bestClip(values, { grid, limits, hessian, start });
          result.data.set(clipped, r * cols + start);
        }
      }
      return result;
    },
  };
}

/** What {@linkcode bestClip} tries, and how it measures. */
interface GroupClip {
  readonly grid: Grid;
  readonly limits: readonly number[];
  readonly hessian: Matrix;
  /** First column of the group. */
  readonly start: number;
}

/** The group clipped to the fraction of its range with the least output error after rounding. */
function bestClip(values: Float32Array, { grid, limits, hessian, start }: GroupClip): Float32Array {
  const change = new Float32Array(values.length), clipped = new Float32Array(values.length);
  let absmax = 0, best = values, bestLoss = Infinity;
  for (let i = 0; i < values.length; i++) absmax = Math.max(absmax, Math.abs(values[i]));
  for (const fraction of limits) {
    const limit = fraction * absmax;
    for (let i = 0; i < values.length; i++) clipped[i] = Math.min(limit, Math.max(-limit, values[i]));
    const fitted = grid.fit(clipped);
    for (let i = 0; i < values.length; i++) {
      change[i] = fitted.decode(fitted.encode(clipped[i])) - values[i];
    }
    const loss = quadraticForm(change, hessian, start);
    if (loss < bestLoss) [best, bestLoss] = [clipped.slice(), loss];
  }
  return best;
}
