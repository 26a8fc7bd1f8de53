// Rounding to integers as the references of the field do it. `Math.round` rounds ties up and is wrong for all of them.

/**
 * Rounds to the nearest integer, ties to the even one: `torch.round`, ONNX and WGSL `round`. NaN, infinities and -0 stay.
 *
 * @param value Any number.
 * @returns The rounded value.
 *
 * @example Usage
 * ```ts
 * import { roundHalfEven } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals([0.5, 1.5, 2.5, -2.5].map(roundHalfEven), [0, 2, 2, -2]);
 * ```
 */
export function roundHalfEven(value: number): number {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 !== 0 ? up - 1 : up;
}

/**
 * Rounds to the nearest integer, ties away from zero: C's `roundf`, ggml's Q8_0.
 *
 * @param value Any number.
 * @returns The rounded value.
 */
export function roundHalfAway(value: number): number {
  return value < 0 ? -Math.round(-value) : Math.round(value);
}

/** What becomes of a value between two neighbors: nearest with ties to the even code, nearest with ties away from zero, or up with the probability of the fraction. */
export type Rounding = "even" | "away" | "stochastic";
