// Floating-point formats of any exponent and mantissa width.
import type { NumberFormat } from "./number_format.ts";
import { floorLog2 } from "./_exponent.ts";
import type { Rounding } from "./round.ts";
import { createRounder } from "./_rounder.ts";

/**
 * Which codes are not numbers: `"ieee"` keeps the largest exponent for infinity and NaN, `"finite-nan"` only the code of
 * all ones for NaN (the "FN" of float8 E4M3), `"none"` makes every code a finite number.
 */
export type FloatSpecials = "ieee" | "finite-nan" | "none";

/** Options of {@linkcode defineFloat}. */
export interface FloatOptions {
  /** Bits of the exponent, 1 to 8. */
  readonly exponentBits: number;
  /** Explicit bits of the mantissa, 0 or more; sign, exponent and mantissa together have at most 16 bits. */
  readonly mantissaBits: number;
  /**
   * Exponent bias: the exponent field `e > 0` means `2^(e - bias)`.
   *
   * @default {2^(exponentBits - 1) - 1}
   */
  readonly bias?: number;
  /**
   * Which codes are infinity or NaN.
   *
   * @default {"ieee"}
   */
  readonly specials?: FloatSpecials;
  /**
   * Default of `encode`'s `saturate`.
   *
   * @default {true}
   */
  readonly saturate?: boolean;
  /**
   * Whether a saturating cast clamps infinity too, as ONNX `Cast` and CUDA's `satfinite` do. By default a format that
   * has infinity keeps it, so that every code but the NaNs survives decoding and encoding.
   *
   * @default {false}
   */
  readonly saturateInfinity?: boolean;
  /**
   * How values between two neighbors are rounded.
   *
   * @default {"even"}
   */
  readonly rounding?: Rounding;
  /**
   * Seed of `"stochastic"` rounding.
   *
   * @default {0}
   */
  readonly seed?: number;
  /**
   * The format's name.
   *
   * @default {"float", total bits, "E", exponent bits, "M", mantissa bits}
   */
  readonly name?: string;
}

/**
 * Defines a signed floating-point format with subnormals. Rounding is direct from the double to the format.
 *
 * - -0 keeps its sign. NaN becomes the quiet NaN with a positive sign, or -0 in a format without NaN (as in `ml_dtypes`).
 * - Overflow of a finite value clamps to the largest finite value when saturating; otherwise it becomes infinity, else
 *   NaN, else the largest value, whichever the format has first.
 * - Infinity keeps its code where there is one, unless `saturateInfinity`; otherwise it is an overflow like any other.
 *
 * @param options Widths, bias, specials, rounding.
 * @returns The format.
 * @throws {RangeError} If the widths are out of range, or too small for the specials.
 *
 * @example Usage
 * ```ts
 * import { defineFloat } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * const float5E3M1 = defineFloat({ exponentBits: 3, mantissaBits: 1, specials: "none" });
 * assertEquals(float5E3M1.name, "float5E3M1");
 * assertEquals(float5E3M1.max, 24);
 * assertEquals(float5E3M1.decode(float5E3M1.encode(2.4)), 2);
 * ```
 */
export function defineFloat(options: FloatOptions): NumberFormat {
  const { exponentBits, mantissaBits, specials = "ieee", rounding = "even", seed = 0 } = options;
  const bits = 1 + exponentBits + mantissaBits;
  const name = options.name ?? `float${bits}E${exponentBits}M${mantissaBits}`;
  const bias = options.bias ?? 2 ** (exponentBits - 1) - 1;
  checkFloat(name, options, bias);

  const roundsUp = createRounder(rounding, seed);
  const signBit = 2 ** (bits - 1);
  const allOnes = signBit - 1;
  const exponentOnes = signBit - 2 ** mantissaBits;
  const infinityCode = specials === "ieee" ? exponentOnes : -1;
  const nanCode = specials === "ieee"
    ? exponentOnes + 2 ** (mantissaBits - 1)
    : specials === "finite-nan"
    ? allOnes
    : -1;
  const maxCode = specials === "ieee" ? exponentOnes - 1 : specials === "finite-nan" ? allOnes - 1 : allOnes;
  const overflowCode = infinityCode >= 0 ? infinityCode : nanCode >= 0 ? nanCode : maxCode;
  const saturatesByDefault = options.saturate ?? true;
  const keepsInfinity = infinityCode >= 0 && !(options.saturateInfinity ?? false);
  const minExponent = 1 - bias;

  function decodeMagnitude(code: number): number {
    const field = code >>> mantissaBits;
    const mantissa = code & (2 ** mantissaBits - 1);
    return field === 0
      ? mantissa * 2 ** (minExponent - mantissaBits)
      : (mantissa + 2 ** mantissaBits) * 2 ** (field - bias - mantissaBits);
  }

  /** The code of a positive finite magnitude on the grid continued beyond the largest exponent. */
  function roundMagnitude(magnitude: number): number {
    const exponent = Math.max(floorLog2(magnitude), minExponent);
    const steps = magnitude * 2 ** (mantissaBits - exponent);
    const whole = Math.floor(steps);
    const lower = (exponent - minExponent) * 2 ** mantissaBits + whole;
    return steps > whole && roundsUp(lower, steps - whole) ? lower + 1 : lower;
  }

  const max = decodeMagnitude(maxCode);
  return {
    name,
    bits,
    min: -max,
    max,
    stochastic: rounding === "stochastic",
    encode(value, encodeOptions) {
      if (Number.isNaN(value)) return nanCode >= 0 ? nanCode : signBit;
      const sign = value < 0 || Object.is(value, -0) ? signBit : 0;
      const magnitude = Math.abs(value);
      if (magnitude === Infinity && keepsInfinity) return sign + infinityCode;
      const code = magnitude === Infinity ? Infinity : magnitude === 0 ? 0 : roundMagnitude(magnitude);
      if (code <= maxCode) return sign + code;
      return sign + ((encodeOptions?.saturate ?? saturatesByDefault) ? maxCode : overflowCode);
    },
    decode(code) {
      const magnitude = code & allOnes;
      const sign = code & signBit ? -1 : 1;
      if (magnitude === infinityCode) return sign * Infinity;
      if (magnitude > maxCode) return NaN;
      return sign * decodeMagnitude(magnitude);
    },
  };
}

function checkFloat(name: string, options: FloatOptions, bias: number): void {
  const { exponentBits, mantissaBits, specials = "ieee" } = options;
  if (!Number.isInteger(exponentBits) || exponentBits < 1 || exponentBits > 8) {
    throw new RangeError(
      `Cannot define ${name}: exponentBits must be an integer from 1 to 8, not ${exponentBits}`,
    );
  }
  if (!Number.isInteger(mantissaBits) || mantissaBits < 0 || 1 + exponentBits + mantissaBits > 16) {
    throw new RangeError(
      `Cannot define ${name}: mantissaBits must be an integer from 0 to ${
        15 - exponentBits
      }, not ${mantissaBits}`,
    );
  }
  if (!Number.isInteger(bias) || Math.abs(bias) > 512) {
    throw new RangeError(`Cannot define ${name}: bias must be an integer within 512 of zero, not ${bias}`);
  }
  if (specials === "ieee" && (mantissaBits < 1 || exponentBits < 2)) {
    throw new RangeError(
      `Cannot define ${name} with infinity and NaN: IEEE specials need 2 exponent bits and 1 mantissa bit`,
    );
  }
  if (specials === "finite-nan" && exponentBits + mantissaBits < 2) {
    throw new RangeError(`Cannot define ${name}: of two magnitudes none can be spared for NaN`);
  }
}
