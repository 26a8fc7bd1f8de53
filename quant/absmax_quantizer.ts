// Symmetric rounding of rows by their largest magnitude, with the gradient that training needs: values pass straight
// through, and the largest value of a row also moves the row's scale.
import { roundHalfEven } from "../formats/mod.ts";
import { createMatrix, type Matrix } from "./matrix.ts";

/** A quantizer that a method can train through. A user's own is one object of this shape. */
export interface TrainableQuantizer {
  /** Quantizes and dequantizes. */
  forward(matrix: Matrix): Matrix;
  /** The gradient by the input, from the gradient by the output. Same shapes. */
  backward(matrix: Matrix, gradient: Matrix): Matrix;
}

/** Options of {@linkcode absmaxQuantizer}. */
export interface AbsmaxQuantizerOptions {
  /** Bits per code, at least 2. */
  readonly bits: number;
  /** Shrinks the scale; values beyond it saturate. Default 1. */
  readonly clipRatio?: number;
}

/**
 * `scale * clamp(round(x / scale))` per row with `scale = clipRatio * max |x| / (2^(bits - 1) - 1)`.
 *
 * Its gradient takes the derivative of rounding to be 1: a value inside the range passes its gradient, and the scale's
 * gradient, the sum of `gradient * (code - x / scale)` (of `gradient * code` where saturated), goes to the row's largest value.
 *
 * @param options Bits and clipping.
 * @returns The quantizer.
 * @throws {RangeError} If there are fewer than 2 bits.
 */
export function absmaxQuantizer(options: AbsmaxQuantizerOptions): TrainableQuantizer {
  const { bits, clipRatio = 1 } = options;
  if (!(bits >= 2)) throw new RangeError(`Cannot quantize to ${bits} signed bits: it takes 2`);
  const largest = 2 ** (bits - 1) - 1;
  const scaleByMagnitude = clipRatio / largest;
  return {
    forward(matrix): Matrix {
      const result = createMatrix(matrix.rows, matrix.cols);
      forEachRow(matrix, (start, end, peak) => {
        const scale = Math.abs(matrix.data[peak]) * scaleByMagnitude || 1;
        for (let i = start; i < end; i++) {
          result.data[i] = scale * clamp(roundHalfEven(matrix.data[i] / scale), largest);
        }
      });
      return result;
    },
    backward(matrix, gradient): Matrix {
      const result = createMatrix(matrix.rows, matrix.cols);
      forEachRow(matrix, (start, end, peak) => {
        const scale = Math.abs(matrix.data[peak]) * scaleByMagnitude || 1;
        let byScale = 0;
        for (let i = start; i < end; i++) {
          const ratio = matrix.data[i] / scale;
          const inside = Math.abs(ratio) <= largest + 0.5;
          if (inside) result.data[i] = gradient.data[i];
          byScale += gradient.data[i] * (clamp(roundHalfEven(ratio), largest) - (inside ? ratio : 0));
        }
        result.data[peak] += Math.sign(matrix.data[peak]) * scaleByMagnitude * byScale;
      });
      return result;
    },
  };
}

function clamp(code: number, largest: number): number {
  return Math.max(-largest, Math.min(largest, code));
}

/** Visits rows with their extent and the index of their largest magnitude. */
function forEachRow({ data, cols }: Matrix, visit: (start: number, end: number, peak: number) => void): void {
  for (let start = 0; start < data.length; start += cols) {
    let peak = start;
    for (let i = start; i < start + cols; i++) {
      if (Math.abs(data[i]) > Math.abs(data[peak])) peak = i;
    }
    visit(start, start + cols, peak);
  }
}
