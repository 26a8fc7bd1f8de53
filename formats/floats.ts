// The floating-point formats of the field, by the widths that define them.
import { defineFloat } from "./float.ts";
import { floorLog2 } from "./_exponent.ts";
import type { ByteFormat, WordFormat } from "./number_format.ts";

/** FP4 of MXFP4 and NVFP4: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives; no infinity, no NaN. */
export const float4E2M1: ByteFormat = {
  ...defineFloat({ exponentBits: 2, mantissaBits: 1, specials: "none" }),
  bits: 4,
};
/** FP6 with more mantissa: up to 7.5 in steps of 0.125 and more; no infinity, no NaN. */
export const float6E2M3: ByteFormat = {
  ...defineFloat({ exponentBits: 2, mantissaBits: 3, specials: "none" }),
  bits: 6,
};
/** FP6 with more exponent: up to 28; no infinity, no NaN. */
export const float6E3M2: ByteFormat = {
  ...defineFloat({ exponentBits: 3, mantissaBits: 2, specials: "none" }),
  bits: 6,
};
/** FP8 of weights and activations ("E4M3FN"): up to 448; the code of all ones is NaN and there is no infinity. */
export const float8E4M3: ByteFormat = {
  ...defineFloat({ exponentBits: 4, mantissaBits: 3, specials: "finite-nan" }),
  bits: 8,
};
/** FP8 of gradients: up to 57344, with infinity and NaN as in IEEE 754. */
export const float8E5M2: ByteFormat = { ...defineFloat({ exponentBits: 5, mantissaBits: 2 }), bits: 8 };
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

/**
 * The scale format of the MX formats: powers of two `2^(code - 127)`, code 255 is NaN. It has no sign and no zero.
 * A tie (1.5 times a power of two) goes up, the even significand. Saturating, 0 becomes the smallest power and infinity
 * the largest; not saturating, both become NaN, as overflow does. Negative numbers are NaN either way. Between 2^-127 and
 * 2^-126, where float32 is subnormal, everything goes up, as in `ml_dtypes`.
 */
export const float8E8M0: ByteFormat = {
  name: "float8E8M0",
  bits: 8,
  min: 2 ** -127,
  max: 2 ** 127,
  encode(value, options) {
    const saturate = options?.saturate ?? true;
    if (Number.isNaN(value) || value < 0) return 255;
    if (value === 0) return saturate ? 0 : 255;
    if (value >= 1.5 * 2 ** 127) return saturate ? 254 : 255;
    if (value < 2 ** -126) return value > 2 ** -127 ? 1 : 0;
    const power = floorLog2(value);
    return power + 127 + (value >= 1.5 * 2 ** power ? 1 : 0);
  },
  decode: (code) => code === 255 ? NaN : 2 ** (code - 127),
};
