// Integer formats: two's complement or unsigned, of 1 to 16 bits.
import type { ByteFormat, NumberFormat } from "./number_format.ts";
import type { Rounding } from "./round.ts";
import { createRounder } from "./_rounder.ts";

/** Options of {@linkcode defineInteger}. */
export interface IntegerOptions<Bits extends number = number> {
  /** Bits per code, 1 to 16; a signed format needs 2. */
  readonly bits: Bits;
  /** Two's complement if true, from zero up if false. */
  readonly signed: boolean;
  /**
   * The format's name.
   *
   * @default {"int" or "uint", then the bits}
   */
  readonly name?: string;
  /**
   * How values between two integers are rounded.
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
}

/**
 * Defines an integer format: signed codes are two's complement, so `int4` runs from -8 (code 8) to 7 (code 7).
 * Values beyond the range, infinities included, clamp whatever `saturate` says; NaN and -0 become 0.
 *
 * @param options Width and sign, rounding.
 * @returns The format.
 * @throws {RangeError} If the width is not an integer of 1 to 16, or of 2 to 16 when signed.
 *
 * @example Usage
 * ```ts
 * import { defineInteger } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * const int5 = defineInteger({ bits: 5, signed: true });
 * assertEquals([int5.min, int5.max], [-16, 15]);
 * assertEquals(int5.encode(-1), 31);
 * assertEquals(int5.decode(31), -1);
 * ```
 */
export function defineInteger<Bits extends number>(
  options: IntegerOptions<Bits>,
): NumberFormat & { readonly bits: Bits } {
  const { bits, signed, rounding = "even", seed = 0 } = options;
  const name = options.name ?? `${signed ? "int" : "uint"}${bits}`;
  if (!Number.isInteger(bits) || bits < (signed ? 2 : 1) || bits > 16) {
    throw new RangeError(
      `Cannot define ${name}: bits must be an integer from ${signed ? 2 : 1} to 16, not ${bits}`,
    );
  }
  const roundsUp = createRounder(rounding, seed);
  const mask = 2 ** bits - 1;
  const min = signed ? -(2 ** (bits - 1)) : 0;
  const max = signed ? 2 ** (bits - 1) - 1 : mask;
  return {
    name,
    bits,
    min,
    max,
    stochastic: rounding === "stochastic",
    encode(value) {
      if (Number.isNaN(value)) return 0;
      const clamped = Math.min(Math.max(value, min), max);
      const lower = Math.floor(Math.abs(clamped));
      const fraction = Math.abs(clamped) - lower;
      const magnitude = fraction > 0 && roundsUp(lower, fraction) ? lower + 1 : lower;
      return (clamped < 0 ? -magnitude : magnitude) & mask;
    },
    decode: (code) => code > max ? code - mask - 1 : code,
  };
}

/** Signed 2-bit integers, -2 to 1. */
export const int2: ByteFormat = defineInteger({ bits: 2, signed: true });
/** Signed 3-bit integers, -4 to 3. */
export const int3: ByteFormat = defineInteger({ bits: 3, signed: true });
/** Signed 4-bit integers, -8 to 7. */
export const int4: ByteFormat = defineInteger({ bits: 4, signed: true });
/** Signed 8-bit integers, -128 to 127. */
export const int8: ByteFormat = defineInteger({ bits: 8, signed: true });
/** Unsigned 2-bit integers, 0 to 3. */
export const uint2: ByteFormat = defineInteger({ bits: 2, signed: false });
/** Unsigned 3-bit integers, 0 to 7. */
export const uint3: ByteFormat = defineInteger({ bits: 3, signed: false });
/** Unsigned 4-bit integers, 0 to 15. */
export const uint4: ByteFormat = defineInteger({ bits: 4, signed: false });
/** Unsigned 8-bit integers, 0 to 255. */
export const uint8: ByteFormat = defineInteger({ bits: 8, signed: false });
