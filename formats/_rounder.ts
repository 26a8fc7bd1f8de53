// One decision behind all rounding formats: given the lower of two neighboring codes and how far the value lies
// towards the upper one, is the upper one taken? Codes are magnitudes, so "up" is away from zero.
import type { Rounding } from "./round.ts";

/** Tells whether a magnitude `fraction` (0 to 1) above the code `lower` becomes `lower + 1`. */
export type Rounder = (lower: number, fraction: number) => boolean;

export function createRounder(rounding: Rounding, seed: number): Rounder {
  switch (rounding) {
    case "even":
      return (lower, fraction) => fraction > 0.5 || (fraction === 0.5 && lower % 2 !== 0);
    case "away":
      return (_lower, fraction) => fraction >= 0.5;
    case "stochastic": {
      const random = createRandom(seed);
      return (_lower, fraction) => random() < fraction;
    }
    default:
      throw new RangeError(`Cannot round "${rounding}": the choices are "even", "away" and "stochastic"`);
  }
}

/** Mulberry32: uniform numbers in [0, 1) of 32 bits from a 32-bit seed. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
