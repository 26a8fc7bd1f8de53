// The dynamic 8-bit type of bitsandbytes, in which it stores scales a second time.
import { defineCodebook } from "./codebook.ts";
import { linspace } from "./_linspace.ts";
import type { ByteFormat } from "./number_format.ts";

/** Decades from 10^-6 up to 1. */
const DECADES = 7;

/**
 * The 256 signed levels of bitsandbytes' dynamic 8-bit type, ascending: in the decade below `10^(i - 6)` the midpoints of
 * `2^i` intervals, both signs, for i from 0 to 6, and 0 and 1. Bit for bit those of bitsandbytes.
 *
 * @returns The levels, of which the largest is 1 and the smallest -0.99297.
 */
export function dynamicLevels(): Float32Array<ArrayBuffer> {
  const levels = [0, 1];
  for (let i = 0; i < DECADES; i++) {
    const bounds = linspace(0.1, 1, 2 ** i);
    const decade = Math.fround(10 ** (i - DECADES + 1));
    for (let k = 0; k < 2 ** i; k++) {
      const middle = Math.fround(Math.fround(bounds[k] + bounds[k + 1]) / 2);
      const level = Math.fround(decade * middle);
      levels.push(level, -level);
    }
  }
  return Float32Array.from(levels).sort();
}

/** Bitsandbytes' dynamic 8-bit type as a number format. */
export const dynamic8: ByteFormat = defineCodebook({
  name: "dynamic8",
  levels: dynamicLevels(),
  ties: "lower",
});
