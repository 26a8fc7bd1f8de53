// Double quantization (QLoRA, arXiv 2305.14314): the scales of small blocks are themselves quantized, to 8 bits.
import { type ByteFormat, dynamic8 } from "../formats/mod.ts";

/** Options of {@linkcode doubleQuantize}. */
export interface DoubleQuantizeOptions {
  /** Scales that share a second-level scale. Default 256. */
  readonly blockSize?: number;
  /** Format of the quantized scales. Default {@linkcode dynamic8}, as in bitsandbytes. */
  readonly format?: ByteFormat;
  /** What is subtracted from the scales first. Default their mean; torch's float32 mean may differ in the last bit. */
  readonly offset?: number;
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
  const offset = Math.fround(options.offset ?? meanOf(values));
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

function meanOf(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

/** The scales that {@linkcode doubleQuantize} stored. */
export function doubleDequantize(quantized: DoubleQuantized): Float32Array<ArrayBuffer> {
  const { format, blockSize, codes, scales, offset } = quantized;
  return Float32Array.from(
    codes,
    (code, i) => Math.fround(format.decode(code) * scales[Math.floor(i / blockSize)]) + offset,
  );
}
