// A number format as thresholds: which values take which code, stated so that a device can round exactly as the format
// does without knowing its rule.
import type { NumberFormat } from "./number_format.ts";

/** The rounding of a format. */
export interface FormatThresholds {
  /** `2^bits - 1` float32 values, ascending; those that a format has no use for are infinite. */
  readonly thresholds: Float32Array<ArrayBuffer>;
  /** `2^bits` codes: a value takes `codes[i]`, i the number of thresholds at or below it. */
  readonly codes: Uint32Array<ArrayBuffer>;
}

/** The largest finite float32, as its place among all float32 values in order. */
const LARGEST = 0x7f7fffff;

const bits = new Int32Array(1);
const value = new Float32Array(bits.buffer);

/** The float32 at a place in order: places from 0 on are the positive values, place -1 is -0. */
function valueAt(place: number): number {
  bits[0] = place >= 0 ? place : 0x80000000 | (-1 - place);
  return value[0];
}

/**
 * The thresholds of a format of at most 8 bits, found by bisection over all float32 values, ties and saturation included.
 *
 * @param format A format whose codes follow the order of values.
 * @returns Thresholds and codes.
 * @throws {RangeError} If the format has more than 8 bits.
 *
 * @example Usage
 * ```ts
 * import { codeThresholds, int2 } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * const { thresholds, codes } = codeThresholds(int2); // -2, -1, 0 and 1; ties go to the even code
 * assertEquals(codes, Uint32Array.of(2, 3, 0, 1));
 * assertEquals(thresholds[2] > 0.5, true);
 * ```
 */
export function codeThresholds(format: NumberFormat): FormatThresholds {
  if (format.bits > 8) {
    throw new RangeError(
      `Cannot list the thresholds of ${format.name}: it has ${format.bits} bits, at most 8 are allowed`,
    );
  }
  const encodeAt = (place: number): number => format.encode(valueAt(place));
  const thresholds = new Float32Array(2 ** format.bits - 1).fill(Infinity);
  const codes = new Uint32Array(2 ** format.bits).fill(encodeAt(-1 - LARGEST));
  let count = 0;
  const split = (low: number, lowCode: number, high: number, highCode: number): void => {
    if (lowCode === highCode) return;
    if (high - low === 1) {
      thresholds[count++] = valueAt(high);
      codes.fill(highCode, count);
      return;
    }
    const middle = Math.floor((low + high) / 2);
    const code = encodeAt(middle);
    split(low, lowCode, middle, code);
    split(middle, code, high, highCode);
  };
  split(-1 - LARGEST, codes[0], LARGEST, encodeAt(LARGEST));
  return { thresholds, codes };
}
