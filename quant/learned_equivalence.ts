// OmniQuant's learnable equivalent transformation (arXiv 2308.13137): a shift and a scale per input column, found by
// search on the output error of the layer with weights and activations quantized.
import { columnAbsmax, subtract } from "./_matrix_ops.ts";
import { linearProduct } from "./linear_terms.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import type { LayerCalibration } from "./method.ts";
import type { ActivationScheme, Rounder } from "./recipe.ts";
import { sampleRows } from "./_sample_rows.ts";
import {
  composeTransforms,
  scaleTransform,
  shiftTransform,
  type Transform,
  transformCalibration,
  type TransformFinder,
} from "./transform.ts";

/** What {@linkcode searchEquivalence} searches. */
export interface EquivalenceOptions {
  /** How weights will be rounded. */
  readonly rounder: Rounder;
  /** How activations will be quantized. */
  readonly activations: ActivationScheme;
  /** Exponents tried, `0, 1/steps, ..., 1`, of `absmax(x)^alpha / absmax(w)^(1 - alpha)`; OmniQuant starts from 0.5. Default 8. */
  readonly steps?: number;
  /** Whether columns may also be shifted by the middle of their range. Default true. */
  readonly shift?: boolean;
  /** Sampled tokens that the output error is measured on. Default 64. */
  readonly tokens?: number;
}

/** One transform that was tried. */
export interface EquivalenceCandidate {
  /** The exponent; undefined where nothing is scaled. */
  readonly alpha?: number;
  /** Whether columns are shifted. */
  readonly shifted: boolean;
  /** Mean squared error of the quantized layer's output. */
  readonly loss: number;
}

/** The best transform, and all that were tried; the first is the identity. */
export interface Equivalence {
  /** What to apply. */
  readonly transform: Transform;
  /** In the order of trying. */
  readonly candidates: readonly EquivalenceCandidate[];
}

/** OmniQuant cuts scales below this off. */
const MIN_SCALE = 1e-2;

/** The middle of each column's range. */
function middles({ data, rows, cols }: Matrix): Float32Array<ArrayBuffer> {
  const low = new Float32Array(cols).fill(Infinity), high = new Float32Array(cols).fill(-Infinity);
  for (let i = 0; i < rows * cols; i++) {
    low[i % cols] = Math.min(low[i % cols], data[i]);
    high[i % cols] = Math.max(high[i % cols], data[i]);
  }
  return low.map((value, c) => (value + high[c]) / 2);
}

function balancedScale(absmax: Float32Array, weight: Matrix, alpha: number): Transform {
  const largest = columnAbsmax(weight);
  const scale = absmax.map((x, c) => {
    const value = Math.max(x, 1e-5) ** alpha / Math.max(largest[c], 1e-5) ** (1 - alpha);
    return Math.max(value, MIN_SCALE);
  });
  return scaleTransform(scale, "learned-scale");
}

/**
 * Searches shift and scale that make the quantized layer's output most like the float one's.
 *
 * @param weight `[outputs, inputs]`.
 * @param calibration Of the layer's inputs; sampled rows are used.
 * @param options How the layer is quantized, and candidates.
 * @returns The best transform; never worse than none by its own measure.
 * @throws {RangeError} If no inputs were sampled.
 */
export function searchEquivalence(
  weight: Matrix,
  calibration: LayerCalibration,
  options: EquivalenceOptions,
): Equivalence {
  const { rounder, activations, steps = 8, shift = true, tokens = 64 } = options;
  const inputs = sampleRows(calibration.inputs, tokens);
  const whole = { ...calibration, hessian: createMatrix(0, 0) }, sampled = { ...whole, inputs };
  const expected = linearProduct(inputs, weight);
  const none = new Uint32Array(0);
  const lossOf = (transform: Transform): number => {
    const behind = transformCalibration(sampled, transform);
    const rounded = rounder.round(transform.applyW(weight), { calibration: behind, outliers: none }).weight;
    const quantized = activations.prepare(behind)(transform.applyX(inputs), none);
    const output = linearProduct(quantized, rounded), offset = transform.offset?.(weight);
    const error = subtract(output, expected).data;
    return error.reduce((sum, e, i) => sum + (e + (offset?.[i % weight.rows] ?? 0)) ** 2, 0) / error.length;
  };

  let best: { transform: Transform; loss: number } | undefined;
  const candidates: EquivalenceCandidate[] = [];
  for (const shifted of shift ? [false, true] : [false]) {
    const shiftBy = shifted ? [shiftTransform(middles(calibration.inputs))] : [];
    const shiftOnly = composeTransforms(shiftBy), { absmax } = transformCalibration(whole, shiftOnly);
    for (const alpha of [undefined, ...Array.from({ length: steps + 1 }, (_, i) => i / steps)]) {
      const transform = alpha === undefined
        ? shiftOnly
        : composeTransforms([...shiftBy, balancedScale(absmax, weight, alpha)]);
      const loss = lossOf(transform);
      candidates.push({ ...(alpha === undefined ? {} : { alpha }), shifted, loss });
      if (!best || loss < best.loss) best = { transform, loss };
    }
  }
  return { transform: best!.transform, candidates };
}

/** OmniQuant's equivalent transformation as a step of a recipe. */
export function learnedEquivalence(options: EquivalenceOptions): TransformFinder {
  return {
    name: "learned-equivalence",
    find: ({ weight }, calibration) => searchEquivalence(weight, calibration, options).transform,
  };
}
