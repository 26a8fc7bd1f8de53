// Codebook formats: any list of levels, such as NF4.
import type { ByteFormat } from "./number_format.ts";

/** Options of {@linkcode defineCodebook}. */
export interface CodebookOptions {
  /** The format's name. */
  readonly name: string;
  /** The value of each code, 2 to 256 finite numbers in any order. */
  readonly levels: ArrayLike<number>;
  /**
   * Which of two levels takes a value right between them: the one with the even code (the lower level where both codes
   * are even or both odd), the lower level (bitsandbytes) or the upper one (ggml). "Right between" is the midpoint
   * rounded to float32, as those two compute it.
   *
   * @default {"even"}
   */
  readonly ties?: "even" | "lower" | "upper";
}

/**
 * Defines a format by its levels: code `i` means `levels[i]`. Values beyond the levels, infinities included, clamp; NaN
 * becomes the level nearest to zero. Of equal levels (0 and -0 count as equal) only the first is ever encoded.
 *
 * @param options Name, levels, rule for ties.
 * @returns The format, of the fewest bits that hold the codes; codes without a level decode to NaN.
 * @throws {RangeError} If there are fewer than 2 or more than 256 levels.
 * @throws {TypeError} If a level is not finite.
 *
 * @example A 2-bit format of one's own
 * ```ts
 * import { defineCodebook } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * const ternary = defineCodebook({ name: "ternary", levels: [-1, 0, 1] });
 * assertEquals(ternary.bits, 2);
 * assertEquals([-7, 0.4, 0.6].map((value) => ternary.encode(value)), [0, 1, 2]);
 * ```
 */
export function defineCodebook(options: CodebookOptions): ByteFormat {
  const { name, ties = "even" } = options;
  const levels = Float64Array.from(options.levels);
  if (levels.length < 2 || levels.length > 256) {
    throw new RangeError(`Cannot define ${name}: a codebook has 2 to 256 levels, not ${levels.length}`);
  }
  if (!levels.every(Number.isFinite)) {
    throw new TypeError(
      `Cannot define ${name}: level ${levels.findIndex((v) => !Number.isFinite(v))} is not finite`,
    );
  }
  const { codes, bounds, upperAtTie } = sortLevels(levels, ties);
  const format: ByteFormat = {
    name,
    bits: Math.ceil(Math.log2(levels.length)) as ByteFormat["bits"],
    min: levels[codes[0]],
    max: levels[codes[codes.length - 1]],
    encode(value) {
      if (Number.isNaN(value)) return zeroCode;
      let low = 0;
      let high = bounds.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        const isAbove = value > bounds[middle] || (value === bounds[middle] && upperAtTie[middle] === 1);
        if (isAbove) low = middle + 1;
        else high = middle;
      }
      return codes[low];
    },
    decode: (code) => code < levels.length ? levels[code] : NaN,
  };
  const zeroCode = format.encode(0);
  return format;
}

interface SortedLevels {
  /** The code of each distinct level, from the lowest level up. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** The midpoints between neighbors. */
  readonly bounds: Float64Array<ArrayBuffer>;
  /** 1 where a value on the midpoint takes the upper level. */
  readonly upperAtTie: Uint8Array<ArrayBuffer>;
}

function sortLevels(levels: Float64Array<ArrayBuffer>, ties: "even" | "lower" | "upper"): SortedLevels {
  const order = Array.from(levels, (_, code) => code).sort((a, b) => levels[a] - levels[b] || a - b);
  const codes = Uint8Array.from(order.filter((code, i) => i === 0 || levels[code] !== levels[order[i - 1]]));
  const bounds = new Float64Array(codes.length - 1);
  const upperAtTie = new Uint8Array(codes.length - 1);
  for (let i = 0; i < bounds.length; i++) {
    bounds[i] = Math.fround(Math.fround(levels[codes[i]] + levels[codes[i + 1]]) / 2);
    const isUpperEven = codes[i] % 2 === 1 && codes[i + 1] % 2 === 0;
    upperAtTie[i] = ties === "upper" || (ties === "even" && isUpperEven) ? 1 : 0;
  }
  return { codes, bounds, upperAtTie };
}

/**
 * The 4-bit float of bitsandbytes, normalized to [-1, 1]. It is not E2M1: the magnitudes of codes 0 to 7 are 0, 1/192,
 * 2/3, 1, 1/3, 1/2, 1/6, 1/4, and code 8, a second zero, is never encoded.
 */
export const bnbFloat4: ByteFormat = defineCodebook({
  name: "bnbFloat4",
  levels: bnbFloat4Levels(),
  ties: "lower",
});

function bnbFloat4Levels(): Float32Array<ArrayBuffer> {
  const magnitudes = [0, 0.0625, 8, 12, 4, 6, 2, 3].map((value) => value / 12);
  return Float32Array.from([...magnitudes, ...magnitudes.map((value) => -value)]);
}

/** The sixteen levels of ggml's IQ4_NL; multiply by the block's scale. */
export const iq4nlLevels: ByteFormat = defineCodebook({
  name: "iq4nlLevels",
  levels: [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113],
  ties: "upper",
});
