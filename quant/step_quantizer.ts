// Quantization that can be trained through: the straight-through estimator, and LSQ's gradient of the step size
// (arXiv 1902.08153).
import { roundHalfEven } from "../formats/mod.ts";

/** An integer grid with a trainable step: values `scale * code` for codes `qmin..qmax`. */
export interface StepGrid {
  /** The step size, positive. */
  readonly scale: number;
  /** Smallest code, such as -8, or 0 for unsigned codes. */
  readonly qmin: number;
  /** Largest code, such as 7. */
  readonly qmax: number;
}

/** Gradients through {@linkcode fakeQuantizeStep}. */
export interface StepGradients {
  /** With respect to each value: the incoming gradient inside the range, 0 outside (straight-through estimator). */
  readonly values: Float32Array<ArrayBuffer>;
  /** With respect to the step size, not yet multiplied by {@linkcode stepGradientScale}. */
  readonly scale: number;
}

/**
 * `scale * clamp(round(value / scale), qmin, qmax)`, ties to even.
 *
 * @param values Any values.
 * @param grid Step and code range.
 * @returns The fake-quantized values.
 * @throws {RangeError} If the step is not positive.
 *
 * @example One step of training a step size
 * ```ts
 * import { fakeQuantizeStep, fakeQuantizeStepBackward } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const grid = { scale: 0.5, qmin: -2, qmax: 1 };
 * const values = Float32Array.of(0.25, 0.625, -3);
 * assertEquals(fakeQuantizeStep(values, grid), Float32Array.of(0, 0.5, -1));
 * const gradients = fakeQuantizeStepBackward(values, Float32Array.of(1, 1, 1), grid);
 * assertEquals(gradients.values, Float32Array.of(1, 0, 0));
 * assertEquals(gradients.scale, -0.5 + 1 - 2);
 * ```
 */
export function fakeQuantizeStep(values: Float32Array, grid: StepGrid): Float32Array<ArrayBuffer> {
  const { scale, qmin, qmax } = checkedGrid(grid);
  const result = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    result[i] = scale * Math.max(qmin, Math.min(qmax, roundHalfEven(values[i] / scale)));
  }
  return result;
}

/**
 * The gradients of {@linkcode fakeQuantizeStep}, taking the derivative of rounding to be 1. With `r = value / scale`, the
 * derivative by the step is `qmin` for `r <= qmin`, `qmax` for `r >= qmax` and `round(r) - r` between.
 *
 * @param values What was quantized.
 * @param gradient Gradient of the loss by each quantized value.
 * @param grid Step and code range.
 * @returns The gradients by value and by step.
 * @throws {RangeError} If the step is not positive or the lengths differ.
 */
export function fakeQuantizeStepBackward(
  values: Float32Array,
  gradient: Float32Array,
  grid: StepGrid,
): StepGradients {
  const { scale, qmin, qmax } = checkedGrid(grid);
  if (values.length !== gradient.length) {
    throw new RangeError(`Cannot pair ${values.length} values with ${gradient.length} gradients`);
  }
  const byValue = new Float32Array(values.length);
  let byScale = 0;
  for (let i = 0; i < values.length; i++) {
    const ratio = values[i] / scale;
    if (ratio >= qmin && ratio <= qmax) byValue[i] = gradient[i];
    const slope = ratio <= qmin ? qmin : ratio >= qmax ? qmax : roundHalfEven(ratio) - ratio;
    byScale += gradient[i] * slope;
  }
  return { values: byValue, scale: byScale };
}

/**
 * LSQ's first step size: `2 * mean |value| / sqrt(qmax)`.
 *
 * @param values The values to quantize.
 * @param qmax Largest code.
 * @returns The step, at least 1e-8.
 */
export function initialStep(values: Float32Array, qmax: number): number {
  let sum = 0;
  for (const value of values) sum += Math.abs(value);
  return Math.max(1e-8, 2 * sum / values.length / Math.sqrt(qmax));
}

/**
 * The factor by which LSQ balances the step's gradient against those of the weights.
 *
 * @param count Number of values that share the step.
 * @param qmax Largest code.
 * @returns `1 / sqrt(count * qmax)`.
 */
export function stepGradientScale(count: number, qmax: number): number {
  return 1 / Math.sqrt(count * qmax);
}

function checkedGrid(grid: StepGrid): StepGrid {
  if (!(grid.scale > 0)) throw new RangeError(`Cannot quantize with step ${grid.scale}: it must be positive`);
  return grid;
}
