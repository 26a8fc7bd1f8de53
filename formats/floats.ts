// The floating-point formats of the field, by the widths that define them.
import { defineFloat } from "./float.ts";
import type { WordFormat } from "./number_format.ts";

/** IEEE 754 binary16: largest 65504, smallest subnormal 2^-24. */
export const float16: WordFormat = {
  ...defineFloat({ name: "float16", exponentBits: 5, mantissaBits: 10 }),
  bits: 16,
};
/** The upper half of a float32. */
export const bfloat16: WordFormat = {
  ...defineFloat({ name: "bfloat16", exponentBits: 8, mantissaBits: 7 }),
  bits: 16,
};
