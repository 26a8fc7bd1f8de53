// The OCP Microscaling formats: blocks of 32 values in a small float under a power-of-two scale (OCP MX v1.0).
import type { BlockFormat } from "./block_format.ts";
import { checkBytes, countBlocks } from "./_blocks.ts";
import { decodeArray, encodeArray, levelsOf } from "./encode_array.ts";
import { floorLog2 } from "./_exponent.ts";
import { float4E2M1, float6E2M3, float6E3M2, float8E4M3, float8E5M2, float8E8M0 } from "./floats.ts";
import type { ByteFormat, NumberFormat } from "./number_format.ts";
import { pack, unpack } from "./pack.ts";

/**
 * How the scale of a block follows from its largest magnitude `a`; `emax` and `max` are the exponent and value of the
 * largest element, `m` the element's mantissa bits. Names as in torchao.
 *
 * - `"floor"`: `2^(floor(log2 a) - emax)`, the rule of the specification. The largest values may saturate.
 * - `"ceil"`: the exponent of `a` rounded up instead, so that a power of two is left as it is.
 * - `"even"`: floor after `a` is rounded to `m` mantissa bits, half up.
 * - `"rceil"`: `2^ceil(log2(a / max))`, the smallest scale at which nothing saturates.
 */
export type MxScaleRule = "floor" | "ceil" | "even" | "rceil";

/** Options of {@linkcode quantizeMx} and {@linkcode defineMx}. */
export interface MxOptions {
  /** The element format. */
  readonly element: ByteFormat;
  /**
   * Values per block.
   *
   * @default {32}
   */
  readonly blockSize?: number;
  /**
   * The scale rule.
   *
   * @default {"floor"}
   */
  readonly scaleRule?: MxScaleRule;
}

/** Values in MX form, scales and codes apart, as torchao and compressed-tensors keep them. */
export interface MxBlocks {
  /** E8M0 code of each block's scale. */
  readonly scales: Uint8Array<ArrayBuffer>;
  /** One element code per value, not packed. */
  readonly codes: Uint8Array<ArrayBuffer>;
}

const BLOCK = 32;

/**
 * The E8M0 code of the scale for a block.
 *
 * @param absmax Largest magnitude of the block, a float32; infinity counts as 2^128.
 * @param options Element format and scale rule.
 * @returns The code, whose value is `2^(code - 127)`, clamped to 0 and 254; 0 for a block of zeros, 255 (NaN) for NaN.
 * @throws {RangeError} If there is no such rule.
 */
export function mxScaleCode(absmax: number, options: MxOptions): number {
  const { element, scaleRule = "floor" } = options;
  if (Number.isNaN(absmax)) return 255;
  if (absmax === 0) return 0;
  const exponent = scaleExponent(Math.min(absmax, 2 ** 128), element, scaleRule);
  return Math.min(Math.max(exponent + 127, 0), 254);
}

function scaleExponent(absmax: number, element: NumberFormat, rule: MxScaleRule): number {
  const largest = floorLog2(element.max);
  switch (rule) {
    case "floor":
      return floorLog2(absmax) - largest;
    case "ceil":
      return ceilLog2(absmax) - largest;
    case "even":
      return floorLog2(absmax + relativeStep(element) / 2 * 2 ** floorLog2(absmax)) - largest;
    case "rceil":
      return ceilLog2(Math.fround(absmax / element.max));
    default:
      throw new RangeError(`Cannot scale by "${rule}": the rules are "floor", "ceil", "even" and "rceil"`);
  }
}

function ceilLog2(value: number): number {
  const exponent = floorLog2(value);
  return value > 2 ** exponent ? exponent + 1 : exponent;
}

/** The distance of the two largest elements over their power of two: 2^-mantissaBits. */
function relativeStep(element: NumberFormat): number {
  const below = levelsOf(element).reduce((best, v) => v < element.max && v > best ? v : best, element.min);
  return (element.max - below) / 2 ** floorLog2(element.max);
}

/**
 * Quantizes blocks of neighbors: each gets a power-of-two scale, elements are divided by it and rounded to nearest even with
 * saturation. A block that holds NaN gets the NaN scale.
 *
 * @param values The values; a whole number of blocks.
 * @param options Element format, block size, scale rule.
 * @returns Scales and codes.
 * @throws {RangeError} If the count is not a multiple of the block size.
 *
 * @example Usage
 * ```ts
 * import { dequantizeMx, float4E2M1, quantizeMx } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * const values = Float32Array.of(6, -3, 0.5, 1);
 * const blocks = quantizeMx(values, { element: float4E2M1, blockSize: 4 });
 * assertEquals(blocks.scales, Uint8Array.of(127)); // 2^0
 * assertEquals(dequantizeMx(blocks, { element: float4E2M1, blockSize: 4 }), values);
 * ```
 */
export function quantizeMx(values: Float32Array<ArrayBufferLike>, options: MxOptions): MxBlocks {
  const { element, blockSize = BLOCK } = options;
  const blocks = countBlocks("quantize", values.length, { name: `MX ${element.name}`, blockSize });
  const scales = new Uint8Array(blocks);
  const scaled = new Float32Array(values.length);
  for (let block = 0; block < blocks; block++) {
    const start = block * blockSize;
    const end = start + blockSize;
    let absmax = 0;
    for (let i = start; i < end; i++) absmax = Math.max(absmax, Math.abs(values[i]));
    scales[block] = mxScaleCode(absmax, options);
    const scale = float8E8M0.decode(scales[block]);
    for (let i = start; i < end; i++) scaled[i] = values[i] / scale;
  }
  return { scales, codes: encodeArray(element, scaled) };
}

/**
 * Restores what {@linkcode quantizeMx} stored.
 *
 * @param blocks Scales and codes.
 * @param options Element format and block size.
 * @returns The values.
 * @throws {RangeError} If scales and codes do not fit together.
 */
export function dequantizeMx(blocks: MxBlocks, options: MxOptions): Float32Array<ArrayBuffer> {
  const { element, blockSize = BLOCK } = options;
  const { scales, codes } = blocks;
  if (codes.length !== scales.length * blockSize) {
    throw new RangeError(
      `Cannot dequantize ${codes.length} codes in blocks of ${blockSize} with ${scales.length} scales`,
    );
  }
  const values = decodeArray(element, codes);
  for (let block = 0; block < scales.length; block++) {
    const scale = float8E8M0.decode(scales[block]);
    for (let i = block * blockSize; i < (block + 1) * blockSize; i++) values[i] *= scale;
  }
  return values;
}

/**
 * Makes an MX format that stores each block as its scale byte and then its codes, the first in the lowest bits.
 *
 * @param name The format's name.
 * @param options Element format, block size, scale rule.
 * @returns The format.
 * @throws {RangeError} If the codes of a block do not fill whole bytes.
 */
export function defineMx(name: string, options: MxOptions): BlockFormat {
  const { element, blockSize = BLOCK } = options;
  const codeBytes = blockSize * element.bits / 8;
  if (!Number.isInteger(codeBytes)) {
    throw new RangeError(
      `Cannot define ${name}: ${blockSize} codes of ${element.bits} bits do not fill bytes`,
    );
  }
  const bytesPerBlock = 1 + codeBytes;
  return {
    name,
    blockSize,
    bytesPerBlock,
    // All blocks at once: block by block, the calls would cost several times the arithmetic.
    quantize(values) {
      countBlocks("quantize", values.length, { name, blockSize });
      const { scales, codes } = quantizeMx(values, options);
      const packed = pack(codes, element.bits);
      const bytes = new Uint8Array(scales.length * bytesPerBlock);
      for (let block = 0; block < scales.length; block++) {
        bytes[block * bytesPerBlock] = scales[block];
        bytes.set(packed.subarray(block * codeBytes, (block + 1) * codeBytes), block * bytesPerBlock + 1);
      }
      return bytes;
    },
    dequantize(bytes, count) {
      const blocks = countBlocks("dequantize", count, { name, blockSize });
      checkBytes(bytes, blocks * bytesPerBlock, { name, count });
      const scales = new Uint8Array(blocks);
      const packed = new Uint8Array(blocks * codeBytes);
      for (let block = 0; block < blocks; block++) {
        const start = block * bytesPerBlock;
        scales[block] = bytes[start];
        packed.set(bytes.subarray(start + 1, start + bytesPerBlock), block * codeBytes);
      }
      return dequantizeMx({ scales, codes: unpack(packed, element.bits, count) }, options);
    },
  };
}

/** MXFP4: 17 bytes per 32 values, 4.25 bits per value. For the layout of GGUF's MXFP4 see `ggmlMxfp4`. */
export const mxfp4: BlockFormat = defineMx("mxfp4", { element: float4E2M1 });
/** MXFP6 with elements E2M3: 25 bytes per 32 values. */
export const mxfp6E2M3: BlockFormat = defineMx("mxfp6E2M3", { element: float6E2M3 });
/** MXFP6 with elements E3M2: 25 bytes per 32 values. */
export const mxfp6E3M2: BlockFormat = defineMx("mxfp6E3M2", { element: float6E3M2 });
/** MXFP8 with elements E4M3: 33 bytes per 32 values. */
export const mxfp8E4M3: BlockFormat = defineMx("mxfp8E4M3", { element: float8E4M3 });
/** MXFP8 with elements E5M2: 33 bytes per 32 values. */
export const mxfp8E5M2: BlockFormat = defineMx("mxfp8E5M2", { element: float8E5M2 });
