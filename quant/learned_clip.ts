// Activation quantization with learned limits, which training moves so that outliers do not form (arXiv 2404.03605).
import { roundHalfEven } from "../formats/mod.ts";

/** A static range with trainable ends, divided into `2^bits - 1` steps. */
export interface ClipRange {
  /** Lower end. */
  readonly low: number;
  /** Upper end, above `low`. */
  readonly high: number;
  /** Bits per code. */
  readonly bits: number;
}

/** Gradients through {@linkcode fakeQuantizeClipped}. */
export interface ClipGradients {
  /** By each value: the incoming gradient inside the range, 0 outside. */
  readonly values: Float32Array<ArrayBuffer>;
  /** By the lower end. */
  readonly low: number;
  /** By the upper end. */
  readonly high: number;
}

/**
 * `round((clamp(x, low, high) - low) * s) / s + low` with `s = (2^bits - 1) / (high - low)`, ties to even.
 *
 * @param values Any values.
 * @param range The range and its bits.
 * @returns The fake-quantized values.
 * @throws {RangeError} If the range is empty.
 */
export function fakeQuantizeClipped(values: Float32Array, range: ClipRange): Float32Array<ArrayBuffer> {
  const { low, high } = range;
  const inverse = stepsPerUnit(range);
  const result = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const clamped = Math.max(low, Math.min(high, values[i]));
    result[i] = roundHalfEven((clamped - low) * inverse) / inverse + low;
  }
  return result;
}

/**
 * The gradients of {@linkcode fakeQuantizeClipped}, taking the derivative of rounding to be 1. A clipped value passes its
 * gradient to the end that clipped it; inside, with `v = (x - low) * s`, the ends get `-d` and `d` times the gradient,
 * where `d = (v - round(v)) / (2^bits - 1)` belongs to the lower end.
 *
 * @param values What was quantized.
 * @param gradient Gradient of the loss by each quantized value.
 * @param range The range and its bits.
 * @returns The gradients by value and by both ends.
 * @throws {RangeError} If the range is empty or the lengths differ.
 */
export function fakeQuantizeClippedBackward(
  values: Float32Array,
  gradient: Float32Array,
  range: ClipRange,
): ClipGradients {
  const { low, high, bits } = range;
  const inverse = stepsPerUnit(range);
  if (values.length !== gradient.length) {
    throw new RangeError(`Cannot pair ${values.length} values with ${gradient.length} gradients`);
  }
  const byValue = new Float32Array(values.length);
  let byLow = 0;
  let byHigh = 0;
  for (let i = 0; i < values.length; i++) {
    if (values[i] >= high) {
      byHigh += gradient[i];
    } else if (values[i] <= low) {
      byLow += gradient[i];
    } else {
      const position = (values[i] - low) * inverse;
      const share = gradient[i] * (position - roundHalfEven(position)) / (2 ** bits - 1);
      byValue[i] = gradient[i];
      byLow += share;
      byHigh -= share;
    }
  }
  return { values: byValue, low: byLow, high: byHigh };
}

function stepsPerUnit({ low, high, bits }: ClipRange): number {
  if (!(high > low)) throw new RangeError(`Cannot quantize to the empty range [${low}, ${high}]`);
  return (2 ** bits - 1) / (high - low);
}
