// Double quantization (QLoRA, arXiv 2305.14314): the scales of small blocks are themselves quantized, to 8 bits.
import { type ByteFormat, defineCodebook } from "../formats/mod.ts";

/**
 * The 256 signed levels of bitsandbytes' dynamic 8-bit type, ascending: in the decade below `10^-i` the midpoints of
 * `2^(6 - i)` intervals, both signs, for i from 0 to 6, and 0 and 1.
 *
 * @returns The levels, of which the largest is 1 and the smallest -0.99297.
 */
export function dynamicLevels(): Float32Array<ArrayBuffer> {
  const levels = [0, 1];
  for (let i = 0; i <= 6; i++) {
    const intervals = 2 ** i;
    for (let k = 0; k < intervals; k++) {
      const middle = 0.1 + 0.9 * (k + 0.5) / intervals;
      levels.push(middle * 10 ** (i - 6), -middle * 10 ** (i - 6));
    }
  }
  return Float32Array.from(levels.sort((a, b) => a - b));
}

/** Bitsandbytes' dynamic 8-bit type as a number format. */
export const dynamic8: ByteFormat = defineCodebook({
  name: "dynamic8",
  levels: dynamicLevels(),
  ties: "lower",
});

/** Options of {@linkcode doubleQuantize}. */
export interface DoubleQuantizeOptions {
  /** Scales that share a second-level scale. Default 256. */
  readonly blockSize?: number;
  /** Format of the quantized scales. Default {@linkcode dynamic8}, as in bitsandbytes. */
  readonly format?: ByteFormat;
}

/** Scales in 8 bits: `scale = format.decode(code) * scales[block] + offset`. */
export interface DoubleQuantized {
  /** Format of the codes. */
  readonly format: ByteFormat;
  /** Scales that share a second-level scale. */
  readonly blockSize: number;
  /** One code per scale. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** One second-level scale per block. */
  readonly scales: Float32Array<ArrayBuffer>;
  /** The mean of the scales, subtracted first because they are all positive. */
  readonly offset: number;
}

/**
 * Quantizes scales: their mean is subtracted, then each block is divided by its largest magnitude and rounded to the format.
 *
 * @param values The scales.
 * @param options Block size and format.
 * @returns Codes, second-level scales and the offset.
 */
export function doubleQuantize(values: Float32Array, options: DoubleQuantizeOptions = {}): DoubleQuantized {
  const { blockSize = 256, format = dynamic8 } = options;
  let sum = 0;
  for (const value of values) sum += value;
  const offset = Math.fround(sum / values.length);
  const scales = new Float32Array(Math.ceil(values.length / blockSize));
  const codes = new Uint8Array(values.length);
  for (let block = 0; block < scales.length; block++) {
    const start = block * blockSize;
    const end = Math.min(start + blockSize, values.length);
    for (let i = start; i < end; i++) {
      scales[block] = Math.max(scales[block], Math.abs(Math.fround(values[i] - offset)) / format.max);
    }
    const scale = scales[block] || 1;
    for (let i = start; i < end; i++) codes[i] = format.encode(Math.fround(values[i] - offset) / scale);
  }
  return { format, blockSize, codes, scales, offset };
}

/** The scales that {@linkcode doubleQuantize} stored. */
export function doubleDequantize(quantized: DoubleQuantized): Float32Array<ArrayBuffer> {
  const { format, blockSize, codes, scales, offset } = quantized;
  return Float32Array.from(
    codes,
    (code, i) => Math.fround(format.decode(code) * scales[Math.floor(i / blockSize)]) + offset,
  );
}
