// How clip searches measure a range: each gives up once the error reaches a limit, and says nothing more exact then.
import type { ClipBlock } from "./clip_rule.ts";
import type { ValueRange } from "./mapping.ts";
import type { Matrix } from "./matrix.ts";
import type { Matrix64 } from "./matrix64.ts";

/** Values that are rounded at once, between looks at the limit. */
const CHUNK = 64;

/** `sum weight * power(|rounded - value|)`. */
export function powerError(
  block: ClipBlock,
  range: ValueRange,
  options: { power: (x: number) => number; weights?: ArrayLike<number>; limit: number },
): number {
  const { values } = block;
  const { power, weights, limit } = options;
  let error = 0;
  for (let start = 0; start < values.length && error < limit; start += CHUNK) {
    const end = Math.min(start + CHUNK, values.length);
    const rounded = block.reconstruct(range, start, end);
    for (let i = start; i < end; i++) {
      const term = power(Math.abs(rounded[i] - values[i]));
      error += weights === undefined ? term : term * weights[i];
    }
  }
  return error;
}

/** `sum over rows of the block and samples of (x . (rounded - value))^2`. */
export function outputError(
  block: ClipBlock,
  range: ValueRange,
  options: { inputs: Matrix; limit: number },
): number {
  const { values, place } = block;
  const { inputs, limit } = options;
  const rounded = block.reconstruct(range);
  let error = 0;
  for (let start = 0; start < values.length; start += place.cols) {
    for (let sample = 0; sample < inputs.rows && error < limit; sample++) {
      const x = sample * inputs.cols + place.col;
      let sum = 0;
      for (let j = 0; j < place.cols; j++) {
        sum += inputs.data[x + j] * (rounded[start + j] - values[start + j]);
      }
      error += sum * sum;
    }
  }
  return error;
}

/** `sum over rows of the block of ||(rounded - value) U^-1||^2`, by substitution. */
export function whitenedError(
  block: ClipBlock,
  range: ValueRange,
  options: { factor: Matrix64; limit: number },
): number {
  const { values, place } = block;
  const { factor, limit } = options;
  const rounded = block.reconstruct(range);
  const rest = new Float64Array(place.cols);
  let error = 0;
  for (let start = 0; start < values.length; start += place.cols) {
    for (let j = 0; j < place.cols; j++) rest[j] = rounded[start + j] - values[start + j];
    for (let j = 0; j < place.cols && error < limit; j++) {
      const row = (place.col + j) * factor.cols + place.col;
      const z = rest[j] / factor.data[row + j];
      error += z * z;
      for (let k = j + 1; k < place.cols; k++) rest[k] -= z * factor.data[row + k];
    }
  }
  return error;
}
