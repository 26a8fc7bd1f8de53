// Block formats: fixed runs of values stored with their scale in a fixed number of bytes.
import { checkBytes, countBlocks } from "./_blocks.ts";

/**
 * A format that stores blocks of values as bytes, scales included. Values are expected to be finite: the MX formats state
 * what becomes of others, the GGUF formats, like llama.cpp, do not.
 */
export interface BlockFormat {
  /** The field's spelling, such as `q4_0` or `mxfp4`. */
  readonly name: string;
  /** Values per block. */
  readonly blockSize: number;
  /** Bytes per block. */
  readonly bytesPerBlock: number;
  /** Bytes before the first block, such as a scale of the whole tensor; 0 when left out. */
  readonly headerBytes?: number;
  /**
   * Stores values.
   *
   * @throws {RangeError} If the count is not a multiple of the block size.
   */
  quantize(values: Float32Array<ArrayBufferLike>): Uint8Array<ArrayBuffer>;
  /**
   * Restores `count` values.
   *
   * @throws {RangeError} If the bytes do not hold exactly that many.
   */
  dequantize(bytes: Uint8Array<ArrayBufferLike>, count: number): Float32Array<ArrayBuffer>;
}

/** What a block format does with one block; see {@linkcode defineBlockFormat}. */
export interface BlockCodec {
  /** The format's name. */
  readonly name: string;
  /** Values per block. */
  readonly blockSize: number;
  /** Bytes per block. */
  readonly bytesPerBlock: number;
  /** Writes one block into `bytes`, which are zero. Must not change the values. */
  encodeBlock(values: Float32Array<ArrayBufferLike>, bytes: Uint8Array<ArrayBuffer>): void;
  /** Writes the values of one block into `values`. */
  decodeBlock(bytes: Uint8Array<ArrayBufferLike>, values: Float32Array<ArrayBuffer>): void;
}

/**
 * Makes a block format from what it does with one block.
 *
 * @param codec Sizes, and how one block is written and read.
 * @returns The format.
 *
 * @example A block of 4 values with a one-byte scale
 * ```ts
 * import { decodeArray, defineBlockFormat, encodeArray, float8E8M0, int8 } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * const format = defineBlockFormat({
 *   name: "int8x4",
 *   blockSize: 4,
 *   bytesPerBlock: 5,
 *   encodeBlock(values, bytes) {
 *     bytes[0] = float8E8M0.encode(Math.max(...values.map(Math.abs)) / 64);
 *     bytes.set(encodeArray(int8, values.map((value) => value / float8E8M0.decode(bytes[0]))), 1);
 *   },
 *   decodeBlock(bytes, values) {
 *     values.set(decodeArray(int8, bytes.subarray(1)).map((level) => level * float8E8M0.decode(bytes[0])));
 *   },
 * });
 * const values = Float32Array.of(1, -2, 0.5, 0);
 * assertEquals(format.dequantize(format.quantize(values), 4), values);
 * ```
 */
export function defineBlockFormat(codec: BlockCodec): BlockFormat {
  const { name, blockSize, bytesPerBlock } = codec;
  return {
    name,
    blockSize,
    bytesPerBlock,
    quantize(values) {
      const blocks = countBlocks("quantize", values.length, { name, blockSize });
      const bytes = new Uint8Array(blocks * bytesPerBlock);
      for (let block = 0; block < blocks; block++) {
        codec.encodeBlock(
          values.subarray(block * blockSize, (block + 1) * blockSize),
          bytes.subarray(block * bytesPerBlock, (block + 1) * bytesPerBlock),
        );
      }
      return bytes;
    },
    dequantize(bytes, count) {
      const blocks = countBlocks("dequantize", count, { name, blockSize });
      checkBytes(bytes, blocks * bytesPerBlock, { name, count });
      const values = new Float32Array(count);
      for (let block = 0; block < blocks; block++) {
        codec.decodeBlock(
          bytes.subarray(block * bytesPerBlock, (block + 1) * bytesPerBlock),
          values.subarray(block * blockSize, (block + 1) * blockSize),
        );
      }
      return values;
    },
  };
}
