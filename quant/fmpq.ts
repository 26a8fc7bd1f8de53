// COMET's fine-grained mixed-precision quantization (arXiv 2410.12168): activations in blocks of channels, 8 bits for the
// few blocks that hold outliers, 4 bits for all others.
import { roundHalfEven } from "../formats/mod.ts";
import { restoreColumns, withoutColumns } from "./_matrix_ops.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import type { ActivationScheme } from "./recipe.ts";
import { permuteTransform, type TransformFinder } from "./transform.ts";

/** Which channels are outliers, and how they are blocked. */
export interface FmpqOptions {
  /** Channels per block, a tile of the matrix product. Default 128. */
  readonly blockSize?: number;
  /** A channel is an outlier if its largest magnitude exceeds this multiple of the median channel's. Default 5. */
  readonly ratio?: number;
}

/** A permutation that packs outliers together, and the bits of each block after it. */
export interface OutlierPermutation {
  /** Old column of each new column. Outliers come first; both parts fall in magnitude. */
  readonly order: Uint32Array<ArrayBuffer>;
  /** 8 for a block that holds an outlier, else 4; `ceil(columns / blockSize)` blocks. */
  readonly blockBits: Uint8Array<ArrayBuffer>;
}

/**
 * The permutation of FMPQ: with outliers packed together, as few blocks as possible need 8 bits.
 *
 * @param absmax Largest magnitude of each input column over calibration.
 * @param options Block size and criterion.
 * @returns The permutation and the bits of its blocks.
 *
 * @example Usage
 * ```ts
 * import { outlierPermutation } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const { order, blockBits } = outlierPermutation(Float32Array.of(1, 90, 2, 1, 80, 1), { blockSize: 2 });
 * assertEquals(order, Uint32Array.of(1, 4, 2, 0, 3, 5));
 * assertEquals(blockBits, Uint8Array.of(8, 4, 4));
 * ```
 */
export function outlierPermutation(absmax: Float32Array, options: FmpqOptions = {}): OutlierPermutation {
  const isOutlier = outlierTest(absmax, options);
  const order = Uint32Array.from(absmax.keys()).sort((a, b) =>
    Number(isOutlier(absmax[b])) - Number(isOutlier(absmax[a])) || absmax[b] - absmax[a] || a - b
  );
  return { order, blockBits: bitsOfBlocks(order, absmax, isOutlier, options.blockSize) };
}

/**
 * The bits of each block of columns as they lie: 8 for a block that holds an outlier, else 4.
 *
 * @param absmax Largest magnitude of each input column over calibration.
 * @param options Block size and criterion.
 * @returns One entry per block; the last block may be smaller.
 */
export function mixedBlockBits(absmax: Float32Array, options: FmpqOptions = {}): Uint8Array<ArrayBuffer> {
  const natural = Uint32Array.from(absmax.keys());
  return bitsOfBlocks(natural, absmax, outlierTest(absmax, options), options.blockSize);
}

function outlierTest(absmax: Float32Array, { ratio = 5 }: FmpqOptions): (value: number) => boolean {
  const sorted = Float32Array.from(absmax).sort();
  const limit = ratio * sorted[sorted.length >> 1];
  return (value) => value > limit;
}

function bitsOfBlocks(
  order: Uint32Array,
  absmax: Float32Array,
  isOutlier: (value: number) => boolean,
  blockSize = 128,
): Uint8Array<ArrayBuffer> {
  const bits = new Uint8Array(Math.ceil(order.length / blockSize)).fill(4);
  order.forEach((column, i) => {
    if (isOutlier(absmax[column])) bits[Math.floor(i / blockSize)] = 8;
  });
  return bits;
}

/** Activations in blocks of columns with their own bits, one scale per token and block. */
export interface MixedBlocks {
  /** Signed codes, `[tokens, columns]`: -7 to 7 in 4-bit blocks, -127 to 127 in 8-bit blocks. */
  readonly codes: Int8Array<ArrayBuffer>;
  /** `[tokens, blocks]`. */
  readonly scales: Float32Array<ArrayBuffer>;
  /** 4 or 8 per block. */
  readonly blockBits: Uint8Array<ArrayBuffer>;
  /** Columns per block; the last block may be smaller. */
  readonly blockSize: number;
  /** Tokens. */
  readonly rows: number;
  /** Columns. */
  readonly cols: number;
}

/**
 * Quantizes activations block by block: `scale = max |x| / 7` or `/ 127` per token and block, ties to even.
 *
 * @param input `[tokens, columns]`, already permuted.
 * @param blockBits 4 or 8 per block.
 * @param options Block size.
 * @returns Codes and scales.
 * @throws {RangeError} If there are not as many bits as blocks.
 */
export function quantizeMixedBlocks(
  input: Matrix,
  blockBits: Uint8Array<ArrayBuffer>,
  options: Pick<FmpqOptions, "blockSize"> = {},
): MixedBlocks {
  const { blockSize = 128 } = options;
  const { data, rows, cols } = input;
  const blocks = Math.ceil(cols / blockSize);
  if (blockBits.length !== blocks) {
    throw new RangeError(`Cannot quantize ${blocks} blocks of columns with bits for ${blockBits.length}`);
  }
  const codes = new Int8Array(rows * cols);
  const scales = new Float32Array(rows * blocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const start = row * cols + block * blockSize;
      const end = Math.min(start + blockSize, (row + 1) * cols);
      let largest = 0;
      for (let i = start; i < end; i++) largest = Math.max(largest, Math.abs(data[i]));
      const scale = Math.fround(largest / (2 ** (blockBits[block] - 1) - 1)) || 1;
      scales[row * blocks + block] = scale;
      for (let i = start; i < end; i++) codes[i] = roundHalfEven(data[i] / scale);
    }
  }
  return { codes, scales, blockBits, blockSize, rows, cols };
}

/** The float32 activations of {@linkcode MixedBlocks}. */
export function dequantizeMixedBlocks({ codes, scales, blockSize, rows, cols }: MixedBlocks): Matrix {
  const blocks = Math.ceil(cols / blockSize);
  const result = createMatrix(rows, cols);
  for (let i = 0; i < codes.length; i++) {
    const block = Math.floor((i % cols) / blockSize);
    result.data[i] = codes[i] * scales[Math.floor(i / cols) * blocks + block];
  }
  return result;
}

/** The transform that packs the outlier channels of a layer together. */
export function outlierPermutationFinder(options: FmpqOptions = {}): TransformFinder {
  return {
    name: "pack-outliers",
    find: (_layer, { absmax }) => permuteTransform(outlierPermutation(absmax, options).order),
  };
}

/**
 * FMPQ's activations behind the permutation: the bits of each block come from calibration.
 *
 * @param options Block size and criterion, the same as for the permutation.
 * @returns The scheme. Columns given as outliers are left as they are.
 */
export function mixedBlockActivations(options: FmpqOptions = {}): ActivationScheme {
  return {
    name: "int4 and int8 blocks per token",
    bits: 4,
    prepare({ absmax }) {
      const blockBits = mixedBlockBits(absmax, options);
      return (input, outliers) => {
        const quantized = quantizeMixedBlocks(withoutColumns(input, outliers), blockBits, options);
        return restoreColumns(dequantizeMixedBlocks(quantized), input, outliers);
      };
    },
  };
}
