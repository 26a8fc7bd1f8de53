// NVFP4 (arXiv 2509.25149): float4 E2M1 elements under a float8 E4M3 scale per 16 values, or per 16x16 tile, and one float32
// scale for the whole tensor. Arithmetic is float32 in the order of torchao.
import type { BlockFormat } from "./block_format.ts";
import { checkBytes, countBlocks } from "./_blocks.ts";
import { decodeArray, encodeArray } from "./encode_array.ts";
import { float4E2M1, float8E4M3 } from "./floats.ts";
import { pack, unpack } from "./pack.ts";

const BLOCK = 16;
/** Smallest scale of a block: the smallest normal E4M3 number, as in torchao. */
const MIN_SCALE = 2 ** -6;
const fround = Math.fround;

/** Options of {@linkcode quantizeNvfp4}. */
export interface Nvfp4Options {
  /**
   * Values per row; needed for tiles of 16 rows.
   *
   * @default {all values}
   */
  readonly columns?: number;
  /**
   * Rows that share a scale: 1, or 16 so that a weight and its transpose quantize alike.
   *
   * @default {1}
   */
  readonly tileRows?: 1 | 16;
  /**
   * The scale of the whole tensor, such as one from calibration; 1 for the variant with block scales alone.
   *
   * @default {absmax / (6 * 448)}
   */
  readonly tensorScale?: number;
}

/** Values in NVFP4 form: `value = element * scale * tensorScale`. */
export interface Nvfp4Blocks {
  /** E4M3 code of each block or tile, row-major. */
  readonly scales: Uint8Array<ArrayBuffer>;
  /** One E2M1 code per value, not packed. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** The scale of the whole tensor: multiplies. compressed-tensors stores its reciprocal. */
  readonly tensorScale: number;
}

/**
 * Quantizes a matrix to NVFP4. Codes are computed with the rounded scales; elements saturate at 6.
 *
 * @param values The values, row-major.
 * @param options Row length, tile, tensor scale.
 * @returns Scales, codes and the tensor scale.
 * @throws {RangeError} If rows are not a multiple of 16 values, or tiles do not fit.
 */
export function quantizeNvfp4(
  values: Float32Array<ArrayBufferLike>,
  options: Nvfp4Options = {},
): Nvfp4Blocks {
  const tiles = layoutOf("quantize", values.length, options);
  const absmax = tileAbsmax(values, tiles);
  const tensorScale = fround(options.tensorScale ?? (largestOf(absmax) / (6 * 448) || 1));
  const isOneLevel = tensorScale === 1;
  const scales = new Uint8Array(absmax.length);
  const inverse = new Float32Array(absmax.length);
  for (let tile = 0; tile < scales.length; tile++) {
    const wanted = fround(fround(absmax[tile] / 6) / tensorScale);
    scales[tile] = float8E4M3.encode(Math.max(wanted, MIN_SCALE));
    const scale = float8E4M3.decode(scales[tile]);
    inverse[tile] = isOneLevel ? 1 / scale : fround(1 / tensorScale) / scale;
  }
  const scaled = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) scaled[i] = values[i] * inverse[tileOf(i, tiles)];
  return { scales, codes: encodeArray(float4E2M1, scaled), tensorScale };
}

/**
 * Restores what {@linkcode quantizeNvfp4} stored.
 *
 * @param blocks Scales, codes, tensor scale.
 * @param options Row length and tile.
 * @returns The values.
 * @throws {RangeError} If scales and codes do not fit together.
 */
export function dequantizeNvfp4(blocks: Nvfp4Blocks, options: Nvfp4Options = {}): Float32Array<ArrayBuffer> {
  const { scales, codes, tensorScale } = blocks;
  const tiles = layoutOf("dequantize", codes.length, options);
  if (scales.length !== tiles.count) {
    throw new RangeError(
      `Cannot dequantize ${codes.length} NVFP4 codes with ${scales.length} scales: they have ${tiles.count}`,
    );
  }
  const decoded = decodeArray(float8E4M3, scales);
  const values = decodeArray(float4E2M1, codes);
  for (let i = 0; i < values.length; i++) values[i] *= fround(decoded[tileOf(i, tiles)] * tensorScale);
  return values;
}

/** The largest of non-negative values. */
function largestOf(values: Float32Array<ArrayBuffer>): number {
  let largest = 0;
  for (const value of values) if (value > largest) largest = value;
  return largest;
}

interface Tiles {
  readonly columns: number;
  readonly tileRows: number;
  readonly perRow: number;
  readonly count: number;
}

function layoutOf(verb: string, count: number, options: Nvfp4Options): Tiles {
  const { columns = count, tileRows = 1 } = options;
  if (columns % BLOCK !== 0 || (columns > 0 && count % (columns * tileRows) !== 0)) {
    throw new RangeError(
      `Cannot ${verb} ${count} values as NVFP4 in rows of ${columns}: tiles are ${tileRows} by ${BLOCK}`,
    );
  }
  return { columns, tileRows, perRow: columns / BLOCK, count: count / BLOCK / tileRows };
}

function tileOf(index: number, tiles: Tiles): number {
  if (tiles.tileRows === 1) return Math.floor(index / BLOCK);
  const row = Math.floor(index / tiles.columns);
  const column = index - row * tiles.columns;
  return Math.floor(row / tiles.tileRows) * tiles.perRow + Math.floor(column / BLOCK);
}

function tileAbsmax(values: Float32Array<ArrayBufferLike>, tiles: Tiles): Float32Array<ArrayBuffer> {
  const absmax = new Float32Array(tiles.count);
  for (let i = 0; i < values.length; i++) {
    const tile = tileOf(i, tiles);
    absmax[tile] = Math.max(absmax[tile], Math.abs(values[i]));
  }
  return absmax;
}

const HEADER = 4;
const BYTES_PER_BLOCK = 9;

/**
 * NVFP4 with both levels in one run of bytes: the tensor scale (float32, little-endian), then 9 bytes per 16 values: the
 * E4M3 scale and the codes, low nibble first.
 */
export const nvfp4: BlockFormat = {
  name: "nvfp4",
  blockSize: BLOCK,
  bytesPerBlock: BYTES_PER_BLOCK,
  headerBytes: HEADER,
  quantize(values) {
    const blocks = countBlocks("quantize", values.length, nvfp4);
    const { scales, codes, tensorScale } = quantizeNvfp4(values);
    const packed = pack(codes, 4);
    const bytes = new Uint8Array(HEADER + blocks * BYTES_PER_BLOCK);
    new DataView(bytes.buffer).setFloat32(0, tensorScale, true);
    for (let block = 0; block < blocks; block++) {
      const start = HEADER + block * BYTES_PER_BLOCK;
      bytes[start] = scales[block];
      bytes.set(packed.subarray(8 * block, 8 * block + 8), start + 1);
    }
    return bytes;
  },
  dequantize(bytes, count) {
    const blocks = countBlocks("dequantize", count, nvfp4);
    checkBytes(bytes, HEADER + blocks * BYTES_PER_BLOCK, { name: "nvfp4", count });
    const tensorScale = new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true);
    const scales = new Uint8Array(blocks);
    const packed = new Uint8Array(8 * blocks);
    for (let block = 0; block < blocks; block++) {
      const start = HEADER + block * BYTES_PER_BLOCK;
      scales[block] = bytes[start];
      packed.set(bytes.subarray(start + 1, start + 9), 8 * block);
    }
    return dequantizeNvfp4({ scales, codes: unpack(packed, 4, count), tensorScale });
  },
};
