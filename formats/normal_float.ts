// NormalFloat codebooks (QLoRA, arXiv 2305.14314): levels that hold equal mass of a normal distribution.
import { defineCodebook } from "./codebook.ts";
import type { ByteFormat } from "./number_format.ts";
import { linspace } from "./_linspace.ts";
import { normalQuantile } from "./_normal_quantile.ts";

/** The outermost probability of the code, as published: the mean of `1 - 1/30` and `1 - 1/32`. */
const OUTER_PROBABILITY = 0.9677083;

/**
 * The levels of NormalFloat with any number of bits: `2^(bits-1)` positive quantiles of the standard normal distribution,
 * one fewer negative ones, and zero, scaled to [-1, 1] and rounded to float32.
 *
 * @param bits Bits per code, 2 to 8.
 * @returns `2^bits` ascending levels from -1 to 1.
 * @throws {RangeError} If `bits` is not an integer of 2 to 8.
 */
export function normalFloatLevels(bits: number): Float32Array<ArrayBuffer> {
  if (!Number.isInteger(bits) || bits < 2 || bits > 8) {
    throw new RangeError(`Cannot make NormalFloat levels of ${bits} bits: the width must be from 2 to 8`);
  }
  const positives = 2 ** (bits - 1);
  const upper = quantiles(positives);
  const lower = quantiles(positives - 1);
  const levels = [...lower.map((value) => -value), 0, ...upper];
  return Float32Array.from(levels, (value) => value / upper[0]).sort();
}

/** The quantiles of `count` equal steps from the outer probability down to 1/2, the last left out. */
function quantiles(count: number): Float32Array<ArrayBuffer> {
  return linspace(OUTER_PROBABILITY, 0.5, count).subarray(0, count).map(normalQuantile);
}

/** Defines NormalFloat with any number of bits; a value between two levels takes the lower one, as in bitsandbytes. */
function defineNormalFloat(bits: number): ByteFormat {
  return defineCodebook({ name: `nf${bits}`, levels: normalFloatLevels(bits), ties: "lower" });
}

/** NormalFloat of 2 bits: -1, 0, 0.338, 1. */
export const nf2: ByteFormat = defineNormalFloat(2);
/** NormalFloat of 3 bits. */
export const nf3: ByteFormat = defineNormalFloat(3);
/** NormalFloat of 4 bits (NF4), the weight format of QLoRA; code 7 is zero. */
export const nf4: ByteFormat = defineNormalFloat(4);
