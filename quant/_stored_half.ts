// Scales as they are stored: rounded to float16 before codes are computed, so that the codes fit them.
import { float16 } from "../formats/mod.ts";

/** The float16 next to a positive value: at least the smallest one above 0, at most the largest finite one. */
export function storedHalf(value: number): number {
  return float16.decode(float16.encode(value)) || 2 ** -24;
}
