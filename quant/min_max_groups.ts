// Asymmetric groups whose zero point is a float: the group's minimum. The storage of KIVI's cache (arXiv 2402.02750).
import { float16, pack, roundHalfEven, unpack } from "../formats/mod.ts";
import { createMatrix, type Matrix } from "./matrix.ts";

/** Options of {@linkcode quantizeMinMaxGroups}. */
export interface MinMaxGroupsOptions {
  /** Bits per code, 1 to 8. */
  readonly bits: number;
  /** Neighbors of a row that share a scale and a minimum; the last group of a row may be shorter. Default 32. */
  readonly groupSize?: number;
  /** Shrinks the range of each group about its middle, as QuaRot does by 0.95. Default 1. */
  readonly clipRatio?: number;
}

/** A matrix of codes with one scale and one minimum per group: `value = code * scale + minimum`. */
export interface MinMaxGroups {
  /** Rows of the matrix. */
  readonly rows: number;
  /** Columns of the matrix. */
  readonly cols: number;
  /** Bits per code. */
  readonly bits: number;
  /** Neighbors of a row that share a scale. */
  readonly groupSize: number;
  /** Codes, row-major, as one dense little-endian bit stream. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** `[rows, ceil(cols / groupSize)]`, values of float16. */
  readonly scales: Float32Array<ArrayBuffer>;
  /** `[rows, ceil(cols / groupSize)]`, values of float16. */
  readonly minimums: Float32Array<ArrayBuffer>;
}

/**
 * Quantizes groups of neighbors in each row: `scale = (max - min) / (2^bits - 1)`, `code = round((x - min) / scale)` with
 * ties to even; scale and minimum are rounded to float16 before codes are computed. A constant group is exact.
 *
 * @param matrix `[rows, cols]`.
 * @param options Bits, group size and clipping.
 * @returns Codes, scales and minimums.
 * @throws {RangeError} If the group size is not a positive integer.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, dequantizeMinMaxGroups, quantizeMinMaxGroups } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const groups = quantizeMinMaxGroups(createMatrix(1, 4, Float32Array.of(1, 2, 3, 4)), { bits: 2, groupSize: 4 });
 * assertEquals(groups.scales[0], 1);
 * assertEquals(dequantizeMinMaxGroups(groups).data, Float32Array.of(1, 2, 3, 4));
 * ```
 */
export function quantizeMinMaxGroups(matrix: Matrix, options: MinMaxGroupsOptions): MinMaxGroups {
  const { bits, groupSize = 32, clipRatio = 1 } = options;
  if (!Number.isInteger(groupSize) || groupSize < 1) {
    throw new RangeError(`Cannot quantize groups of ${groupSize}: the size must be a positive integer`);
  }
  const { data, rows, cols } = matrix;
  const groups = Math.ceil(cols / groupSize);
  const largest = 2 ** bits - 1;
  const codes = new Uint8Array(rows * cols);
  const scales = new Float32Array(rows * groups);
  const minimums = new Float32Array(rows * groups);
  for (let row = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) {
      const start = row * cols + group * groupSize;
      const end = Math.min(start + groupSize, (row + 1) * cols);
      const [low, high] = shrunkRange(data, start, end, clipRatio);
      const minimum = toFloat16(low);
      const scale = toFloat16((high - low) / largest);
      scales[row * groups + group] = scale;
      minimums[row * groups + group] = minimum;
      // A range that vanishes in float16 leaves the codes at 0: every value becomes the minimum.
      if (scale === 0) continue;
      for (let i = start; i < end; i++) {
        codes[i] = Math.max(0, Math.min(largest, roundHalfEven((data[i] - minimum) / scale)));
      }
    }
  }
  return {
    rows,
    cols,
    bits,
    groupSize,
    codes: pack(codes, bits, { rowBytes: packedBytes(codes.length, bits) }),
    scales,
    minimums,
  };
}

/** The float32 matrix of {@linkcode MinMaxGroups}. */
export function dequantizeMinMaxGroups(quantized: MinMaxGroups): Matrix {
  const { rows, cols, bits, groupSize, scales, minimums } = quantized;
  const rowBytes = quantized.codes.length;
  const codes = unpack(quantized.codes, bits, rows * cols, { rowBytes });
  const groups = Math.ceil(cols / groupSize);
  const result = createMatrix(rows, cols);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const group = row * groups + Math.floor(col / groupSize);
      result.data[row * cols + col] = codes[row * cols + col] * scales[group] + minimums[group];
    }
  }
  return result;
}

/** Bits stored by quantized groups: codes, scales and minimums. */
export function minMaxGroupsBits(quantized: MinMaxGroups): number {
  return quantized.codes.length * 8 + 16 * (quantized.scales.length + quantized.minimums.length);
}

function packedBytes(count: number, bits: number): number {
  return Math.ceil(count * bits / 8);
}

function shrunkRange(data: Float32Array, start: number, end: number, ratio: number): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (let i = start; i < end; i++) {
    low = Math.min(low, data[i]);
    high = Math.max(high, data[i]);
  }
  const cut = (high - low) * (1 - ratio) / 2;
  return [low + cut, high - cut];
}

function toFloat16(value: number): number {
  return float16.decode(float16.encode(value));
}
