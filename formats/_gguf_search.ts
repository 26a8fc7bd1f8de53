// llama.cpp's searches for the scale of a sub-block: trial scales, each followed by a weighted least-squares refit.
// Every operation is rounded to float32, in the order of the reference.
import { roundHalfEven } from "./round.ts";

const fround = Math.fround;

/** Blocks whose largest magnitude is below this count as zeros. */
export const SMALLEST_BLOCK = fround(1e-15);

/** Trials of the affine search beyond the first, and how far the first and each next one moves the number of levels. */
const AFFINE_STEPS = 20;
const AFFINE_START = -1;
const AFFINE_STEP = fround(0.1);
const AFFINE_LEVELS = 15;

/**
 * Scale and minimum of 32 values in 4 bits, `value = scale * code - min` with `min >= 0`, weights `sqrt(mean x^2) + |x|`.
 * Writes the codes.
 */
export function searchAffineScale(
  values: Float32Array<ArrayBufferLike>,
  codes: Uint8Array<ArrayBuffer>,
): { scale: number; min: number } {
  const weights = magnitudeWeights(values);
  let min = values[0];
  let max = values[0];
  let sumWeight = weights[0];
  let sumX = fround(weights[0] * values[0]);
  for (let i = 1; i < values.length; i++) {
    min = Math.min(min, values[i]);
    max = Math.max(max, values[i]);
    sumWeight = fround(sumWeight + weights[i]);
    sumX = fround(sumX + fround(weights[i] * values[i]));
  }
  if (min > 0) min = 0;
  codes.fill(0);
  if (max === min) return { scale: 0, min: -min };

  const trial = new Uint8Array(values.length);
  const inverse = fround(AFFINE_LEVELS / fround(max - min));
  const best = { scale: fround(1 / inverse), min };
  roundAll(values, { inverse, min }, codes);
  let bestError = weightedError(values, codes, weights, best);
  for (let step = 0; step <= AFFINE_STEPS; step++) {
    const levels = fround(fround(AFFINE_START + fround(AFFINE_STEP * step)) + AFFINE_LEVELS);
    // The reference measures each trial from the best minimum so far.
    roundAll(values, { inverse: fround(levels / fround(max - best.min)), min: best.min }, trial);
    const fit = refit(values, trial, weights, { sumWeight, sumX });
    if (fit === undefined) continue;
    const error = weightedError(values, trial, weights, fit);
    if (error < bestError) {
      codes.set(trial);
      bestError = error;
      best.scale = fit.scale;
      best.min = fit.min;
    }
  }
  return { scale: best.scale, min: -best.min };
}

function magnitudeWeights(values: Float32Array<ArrayBufferLike>): Float32Array<ArrayBuffer> {
  let sumSquares = 0;
  for (const value of values) sumSquares = fround(sumSquares + fround(value * value));
  const average = fround(Math.sqrt(fround(sumSquares / values.length)));
  return Float32Array.from(values, (value) => average + Math.abs(value));
}

function roundAll(
  values: Float32Array<ArrayBufferLike>,
  grid: { inverse: number; min: number },
  codes: Uint8Array<ArrayBuffer>,
): void {
  for (let i = 0; i < values.length; i++) {
    const code = roundHalfEven(fround(grid.inverse * fround(values[i] - grid.min)));
    codes[i] = Math.min(Math.max(code, 0), AFFINE_LEVELS);
  }
}

function weightedError(
  values: Float32Array<ArrayBufferLike>,
  codes: Uint8Array<ArrayBuffer>,
  weights: Float32Array<ArrayBuffer>,
  grid: { scale: number; min: number },
): number {
  let error = 0;
  for (let i = 0; i < values.length; i++) {
    const difference = fround(fround(fround(grid.scale * codes[i]) + grid.min) - values[i]);
    error = fround(error + fround(weights[i] * fround(difference * difference)));
  }
  return error;
}

/** The scale and minimum of least weighted squared error for given codes; the minimum is at most 0. */
function refit(
  values: Float32Array<ArrayBufferLike>,
  codes: Uint8Array<ArrayBuffer>,
  weights: Float32Array<ArrayBuffer>,
  sums: { sumWeight: number; sumX: number },
): { scale: number; min: number } | undefined {
  const { sumWeight, sumX } = sums;
  let sumL = 0;
  let sumLL = 0;
  let sumXL = 0;
  for (let i = 0; i < values.length; i++) {
    const weighted = fround(weights[i] * codes[i]);
    sumL = fround(sumL + weighted);
    sumLL = fround(sumLL + fround(weighted * codes[i]));
    sumXL = fround(sumXL + fround(weighted * values[i]));
  }
  const determinant = fround(fround(sumWeight * sumLL) - fround(sumL * sumL));
  if (!(determinant > 0)) return undefined;
  const min = fround(fround(fround(sumLL * sumX) - fround(sumL * sumXL)) / determinant);
  if (min > 0) return { scale: fround(sumXL / sumLL), min: 0 };
  return { scale: fround(fround(fround(sumWeight * sumXL) - fround(sumX * sumL)) / determinant), min };
}

/** Codes of Q6_K lie in -32 to 31. */
const SYMMETRIC_HALF = 32;

/**
 * Scale of 16 values in 6 bits, `value = scale * (code - 32)`, weights `x^2`: nineteen trials around the scale that takes
 * the value of largest magnitude to -32. Writes the codes.
 */
export function searchSymmetricScale(
  values: Float32Array<ArrayBufferLike>,
  codes: Uint8Array<ArrayBuffer>,
): number {
  let extreme = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(extreme)) extreme = value;
  codes.fill(0);
  if (Math.abs(extreme) < SMALLEST_BLOCK) return 0;

  let scale = 0;
  let best = 0;
  const trial = new Uint8Array(values.length);
  for (const step of TRIAL_ORDER) {
    const inverse = fround(-fround(SYMMETRIC_HALF + fround(AFFINE_STEP * step)) / extreme);
    let sumXL = 0;
    let sumLL = 0;
    for (let i = 0; i < values.length; i++) {
      const rounded = roundHalfEven(fround(inverse * values[i]));
      const level = Math.min(Math.max(rounded, -SYMMETRIC_HALF), SYMMETRIC_HALF - 1);
      trial[i] = level + SYMMETRIC_HALF;
      const weight = fround(values[i] * values[i]);
      sumXL = fround(sumXL + fround(fround(weight * values[i]) * level));
      sumLL = fround(sumLL + fround(fround(weight * level) * level));
    }
    const isFirst = step === 0;
    const isBetter = sumLL > 0 && fround(sumXL * sumXL) > fround(best * sumLL);
    if (!isFirst && !isBetter) continue;
    codes.set(trial);
    scale = sumLL > 0 ? fround(sumXL / sumLL) : 0;
    best = fround(scale * sumXL);
  }
  return scale;
}

/** The unmoved scale first, then the trials from -9 to 9. */
const TRIAL_ORDER: readonly number[] = [
  0,
  ...Array.from({ length: 19 }, (_, i) => i - 9).filter((k) => k !== 0),
];
