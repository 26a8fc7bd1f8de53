// QLoRA (arXiv 2305.14314): a frozen weight in a 4-bit codebook with doubly quantized scales, and a trainable adapter.
import { type ByteFormat, decodeArray, encodeArray, nf4, pack, unpack } from "../formats/mod.ts";
import {
  doubleDequantize,
  doubleQuantize,
  type DoubleQuantized,
  type DoubleQuantizeOptions,
} from "./double_quantize.ts";
import { type LowRank, lowRankBackward, lowRankForward, type LowRankGradients } from "./low_rank.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { add64, multiply64, multiplyTransposed64, toMatrix, toMatrix64 } from "./matrix64.ts";
import { createRandom } from "./random.ts";

/** Options of {@linkcode quantizeBlocks}. */
export interface QuantizeBlocksOptions {
  /** Format of the codes, whose largest level is 1. Default {@linkcode nf4}. */
  readonly format?: ByteFormat;
  /** Consecutive weights, in row-major order over row ends, that share a scale. Default 64. */
  readonly blockSize?: number;
  /** How scales are quantized; `false` keeps them in float32. Default: 8-bit dynamic, blocks of 256. */
  readonly doubleQuantization?: DoubleQuantizeOptions | false;
}

/** A weight in blocks that are scaled by their largest magnitude. */
export interface QuantizedBlocks {
  /** Rows of the weight. */
  readonly rows: number;
  /** Columns of the weight. */
  readonly cols: number;
  /** Format of the codes. */
  readonly format: ByteFormat;
  /** Weights per block; the last block may be shorter. */
  readonly blockSize: number;
  /** Codes in row-major order, a dense little-endian bit stream. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** One scale per block, in float32 or quantized again. */
  readonly absmax: Float32Array<ArrayBuffer> | DoubleQuantized;
}

/**
 * Quantizes a weight in blocks of consecutive values, each divided by its largest magnitude. Codes are chosen with the
 * exact scales, before those are quantized, as bitsandbytes does.
 *
 * @param weight `[outputs, inputs]`.
 * @param options Format, block size and double quantization.
 * @returns Codes and scales.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, dequantizeBlocks, quantizeBlocks } from "@quik/quant/quant";
 * import { assertAlmostEquals, assertEquals } from "@std/assert";
 *
 * const weight = createMatrix(1, 4, Float32Array.of(-2, 0, 0.3, 1));
 * const restored = dequantizeBlocks(quantizeBlocks(weight, { doubleQuantization: false })).data;
 * assertEquals([restored[0], restored[1]], [-2, 0]); // a block's largest magnitude and zero are exact
 * assertAlmostEquals(restored[3], 1, 0.15);
 * ```
 */
export function quantizeBlocks(weight: Matrix, options: QuantizeBlocksOptions = {}): QuantizedBlocks {
  const { format = nf4, blockSize = 64, doubleQuantization = {} } = options;
  const { data, rows, cols } = weight;
  const absmax = new Float32Array(Math.ceil(data.length / blockSize));
  for (let i = 0; i < data.length; i++) {
    const block = Math.floor(i / blockSize);
    absmax[block] = Math.max(absmax[block], Math.abs(data[i]));
  }
  const inverse = absmax.map((scale) => 1 / (scale || 1)); // bitsandbytes multiplies by the rounded reciprocal
  const relative = data.map((value, i) => value * inverse[Math.floor(i / blockSize)]);
  const codes = encodeArray(format, relative) as Uint8Array<ArrayBuffer>;
  return {
    rows,
    cols,
    format,
    blockSize,
    codes: pack(codes, format.bits, { rowBytes: Math.ceil(codes.length * format.bits / 8) }),
    absmax: doubleQuantization === false ? absmax : doubleQuantize(absmax, doubleQuantization),
  };
}

/** The float32 weight of {@linkcode QuantizedBlocks}. */
export function dequantizeBlocks(quantized: QuantizedBlocks): Matrix {
  const { rows, cols, format, blockSize, absmax } = quantized;
  const scales = absmax instanceof Float32Array ? absmax : doubleDequantize(absmax);
  const rowBytes = quantized.codes.length;
  const levels = decodeArray(format, unpack(quantized.codes, format.bits, rows * cols, { rowBytes }));
  return createMatrix(rows, cols, levels.map((level, i) => level * scales[Math.floor(i / blockSize)]));
}

/** Bits stored by {@linkcode QuantizedBlocks}, all scales included. */
export function blockBits(quantized: QuantizedBlocks): number {
  const { absmax } = quantized;
  const scaleBits = absmax instanceof Float32Array
    ? 32 * absmax.length
    : absmax.format.bits * absmax.codes.length + 32 * absmax.scales.length + 32;
  return quantized.rows * quantized.cols * quantized.format.bits + scaleBits;
}

/** Options of {@linkcode createAdapter}. */
export interface CreateAdapterOptions {
  /** Rank. Default 16. */
  readonly rank?: number;
  /** Seed of `down`. Default 0. */
  readonly seed?: number;
}

/**
 * A fresh LoRA adapter: `down` uniform in `+-1 / sqrt(inputs)`, `up` zero, so that it changes nothing until trained.
 *
 * @param weight The weight it goes beside, `[outputs, inputs]`.
 * @param options Rank and seed.
 * @returns The adapter.
 */
export function createAdapter(weight: Matrix, options: CreateAdapterOptions = {}): LowRank {
  const { rank = 16, seed = 0 } = options;
  const { uniform } = createRandom(seed);
  const bound = 1 / Math.sqrt(weight.cols);
  const down = Float32Array.from({ length: rank * weight.cols }, () => bound * (2 * uniform() - 1));
  return { up: createMatrix(weight.rows, rank), down: createMatrix(rank, weight.cols, down) };
}

/** A frozen quantized weight with an adapter beside it. */
export interface QloraLayer {
  /** The dequantized frozen weight, `[outputs, inputs]`. */
  readonly weight: Matrix;
  /** The trainable adapter. */
  readonly adapter: LowRank;
  /** Factor of the adapter, LoRA's `alpha / rank`. Default 1. */
  readonly scaling?: number;
}

/** `x * weight^T + scaling * (x * down^T) * up^T`, `[tokens, outputs]`. */
export function qloraForward(input: Matrix, layer: QloraLayer): Matrix {
  const base = multiplyTransposed64(toMatrix64(input), toMatrix64(layer.weight));
  return toMatrix(add64(base, toMatrix64(lowRankForward(input, layer.adapter, layer))));
}

/**
 * Gradients of {@linkcode qloraForward}: by the input, through weight and adapter, and by the adapter's factors. The
 * weight is frozen and has none.
 *
 * @param input The input of the forward, `[tokens, inputs]`.
 * @param gradient Gradient of the loss by the output, `[tokens, outputs]`.
 * @param layer The layer.
 * @returns The gradients.
 */
export function qloraBackward(input: Matrix, gradient: Matrix, layer: QloraLayer): LowRankGradients {
  const byAdapter = lowRankBackward(input, gradient, layer.adapter, layer);
  const byWeight = multiply64(toMatrix64(gradient), toMatrix64(layer.weight));
  const byInput = add64(byWeight, toMatrix64(byAdapter.input));
  return { ...byAdapter, input: toMatrix(byInput) };
}
