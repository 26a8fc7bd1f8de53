// Integer grids with the four conventions for scale and zero point that published methods use, and clip search.
import { roundHalfEven } from "../formats/mod.ts";
import { createPower } from "./_power.ts";
import type { FittedGrid, Grid } from "./grid.ts";

/**
 * How a range of weights becomes a scale and a zero point; Q is `2^bits - 1`, h is `2^(bits - 1)`:
 * - `sym-restricted`: `scale = absmax / (h - 1)`, codes -h to h - 1, no zero point (QUIK, SmoothQuant).
 * - `sym-full`: `scale = 2 * absmax / Q`, unsigned codes around a zero point of h (GPTQ `--sym`, MARLIN).
 * - `asym`: the range is widened to hold 0, `scale = (max - min) / Q`, `zero = round(-min / scale)` (GPTQ).
 * - `asym-raw`: the same without widening, range at least 1e-5, zero clamped to the codes (AWQ).
 */
export type IntegerMapping = "sym-restricted" | "sym-full" | "asym" | "asym-raw";

/** Search for the shrunk range with the least error: `sum |w' - w|^exponent` over the group. */
export interface ClipSearch {
  /** Exponent of the error. Default 2.4, as in the code of GPTQ, QuaRot and QUIK. */
  readonly exponent?: number;
  /** Candidates are `1 - i / steps`. Default 100. */
  readonly steps?: number;
  /** Candidates go down to `1 - maxShrink`. Default 0.8. */
  readonly maxShrink?: number;
  /** Whether errors are weighted by the importance given to `fit`. Default false. */
  readonly weighted?: boolean;
}

/** A grid of integers. */
export interface IntegerGridOptions {
  /** Bits per code, 2 to 8. */
  readonly bits: number;
  /** Default `sym-restricted`. */
  readonly mapping?: IntegerMapping;
  /** Clip search; `true` for its defaults. Default false: the whole range is covered. */
  readonly clip?: boolean | ClipSearch;
  /** Bits in which a scale is stored; accounting only. Default 16. */
  readonly scaleBits?: number;
}

/** Affine grid of one group: value = (code - zero) * scale, in float32. */
class AffineGrid implements FittedGrid {
  constructor(
    readonly scale: number,
    readonly zero: number,
    readonly min: number,
    readonly max: number,
    readonly mask: number,
  ) {}

  /** The signed or unsigned level, before it is stored as a bit pattern. */
  level(value: number): number {
    const level = roundHalfEven(Math.fround(Math.fround(value) / this.scale)) + this.zero;
    return level < this.min ? this.min : level > this.max ? this.max : level;
  }

  value(level: number): number {
    return Math.fround(this.scale * (level - this.zero));
  }

  encode(value: number): number {
    return this.level(value) & this.mask;
  }

  decode(code: number): number {
    return this.value(code > this.max ? code - this.mask - 1 : code);
  }
}

/** Smallest and largest value, as the mapping wants them. */
function rangeOf(values: Float32Array, mapping: IntegerMapping): [min: number, max: number] {
  let min = Infinity, max = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (values[i] < min) min = values[i];
    if (values[i] > max) max = values[i];
  }
  if (!Number.isFinite(min) || !Number.isFinite(max)) {
    throw new RangeError("Cannot fit an integer grid to weights that are empty, NaN or infinite");
  }
  if (mapping === "asym-raw") return [min, max];
  [min, max] = [Math.min(min, 0), Math.max(max, 0)];
  if (mapping !== "asym") {
    max = Math.max(-min, max);
    min = -max;
  }
  return min === 0 && max === 0 ? [-1, 1] : [min, max];
}

/** Scale and zero point in float32 arithmetic, as the references compute them. */
function affineGrid(min: number, max: number, bits: number, mapping: IntegerMapping): AffineGrid {
  const f = Math.fround, mask = 2 ** bits - 1, half = 2 ** (bits - 1);
  switch (mapping) {
    case "sym-restricted":
      return new AffineGrid(positive(f(max / (half - 1))), 0, -half, half - 1, mask);
    case "sym-full":
      return new AffineGrid(positive(f(f(max - min) / mask)), half, 0, mask, mask);
    case "asym": {
      const scale = positive(f(f(max - min) / mask));
      return new AffineGrid(scale, roundHalfEven(f(-min / scale)), 0, mask, mask);
    }
    case "asym-raw": {
      const scale = f(Math.max(f(max - min), 1e-5) / mask);
      const zero = Math.min(mask, Math.max(0, -roundHalfEven(f(min / scale))));
      return new AffineGrid(scale, zero, 0, mask, mask);
    }
  }
}

/** A range below float32's smallest normal number would give a scale of 0. */
function positive(scale: number): number {
  return scale > 0 ? scale : 2 ** -149;
}

const SHIFTER = 1.5 * 2 ** 52;

/** Sum of weighted |error|^exponent, given up once it reaches `limit`. */
function clippedError(
  grid: AffineGrid,
  values: Float32Array,
  power: (distance: number) => number,
  limit: number,
  importance: Float32Array | Float64Array | undefined,
): number {
  // The body of `level` and `value`, inlined, because this loop runs eighty times over every weight. Adding and
  // subtracting 1.5 * 2^52 rounds half to even, the sign of zero apart, which is of no account here.
  const { scale, zero, min, max } = grid;
  let error = 0;
  for (let i = 0; i < values.length && error < limit; i++) {
    const value = values[i];
    let level = Math.fround(value / scale) + SHIFTER - SHIFTER + zero;
    level = level < min ? min : level > max ? max : level;
    const term = power(Math.abs(Math.fround(scale * (level - zero)) - value));
    error += importance ? term * importance[i] : term;
  }
  return error;
}

/**
 * A grid of integers.
 *
 * With clip search the fitted range is the shrunk range of least error; of equal candidates the widest wins.
 *
 * @param options Bits, mapping, clip search.
 * @returns The grid.
 * @throws {RangeError} If bits are not 2 to 8.
 *
 * @example Usage
 * ```ts
 * import { integerGrid } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const fitted = integerGrid({ bits: 4 }).fit(Float32Array.of(-3.5, 1, 0.2));
 * assertEquals(fitted.scale, 0.5);
 * assertEquals(fitted.encode(-3.5), 0b1001); // -7 in four bits
 * assertEquals(fitted.decode(fitted.encode(0.7)), 0.5);
 * ```
 */
export function integerGrid(options: IntegerGridOptions): Grid {
  const { bits, mapping = "sym-restricted", clip = false, scaleBits = 16 } = options;
  if (!Number.isInteger(bits) || bits < 2 || bits > 8) {
    throw new RangeError(`Cannot make an integer grid of ${bits} bits: it must have 2 to 8`);
  }
  const { exponent = 2.4, steps = 100, maxShrink = 0.8, weighted = false } = clip === true ? {} : clip || {};
  const candidates = clip ? Math.trunc(maxShrink * steps) : 1;
  const signed = mapping === "sym-restricted";
  // The square costs nothing to make; other powers are tables, made only where a search needs them.
  const power = createPower(candidates < 2 ? 2 : exponent);
  return {
    name: `${signed ? "int" : "uint"}${bits}`,
    bits,
    groupBits: scaleBits + (mapping.startsWith("asym") ? bits : 0),
    fit(values, importance): FittedGrid {
      const [min, max] = rangeOf(values, mapping);
      let best = affineGrid(min, max, bits, mapping);
      if (candidates < 2) return best;
      const weights = weighted ? importance : undefined;
      let bestError = clippedError(best, values, power, Infinity, weights);
      for (let i = 1; i < candidates; i++) {
        const shrink = Math.fround(1 - i / steps);
        const grid = affineGrid(Math.fround(shrink * min), Math.fround(shrink * max), bits, mapping);
        const error = clippedError(grid, values, power, bestError, weights);
        if (error < bestError) [best, bestError] = [grid, error];
      }
      return best;
    },
  };
}
