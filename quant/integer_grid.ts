// Integer grids with the four conventions for scale and zero point that published methods use, and clip search.
import { storedHalf } from "./_stored_half.ts";
import { createPower } from "./_power.ts";
import type { FittedGrid, Grid } from "./grid.ts";
import { type MappingName, mappings, type ValueRange } from "./mapping.ts";

/**
 * The mappings of {@linkcode MappingName} that integer grids take: `sym-restricted` with signed codes and no zero point, the
 * others with unsigned codes.
 */
export type IntegerMapping = Extract<MappingName, "sym-restricted" | "sym-full" | "asym" | "asym-raw">;

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
  /**
   * Bits in which a scale is stored. Default 16: scales are rounded to float16 before codes are computed. With more they keep
   * float32, as the references that compute in it do.
   */
  readonly scaleBits?: number;
}

/**
 * Adding and subtracting it rounds half to even, several times as fast as `roundHalfEven`; the sign of a zero gets lost, which
 * the zero point added next takes away anyway. Values beyond 2^51 stay beyond every level.
 */
const SHIFTER = 1.5 * 2 ** 52;

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
    const level = Math.fround(Math.fround(value) / this.scale) + SHIFTER - SHIFTER + this.zero;
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

/** Smallest and largest value. */
function rangeOf(values: Float32Array): ValueRange {
  let min = Infinity, max = -Infinity, zeros = 0;
  for (let i = 0; i < values.length; i++) {
    if (values[i] < min) min = values[i];
    if (values[i] > max) max = values[i];
    // NaN passes every comparison by, but does not become 0.
    zeros += values[i] * 0;
  }
  if (!Number.isFinite(min) || !Number.isFinite(max) || zeros !== 0) {
    throw new RangeError("Cannot fit an integer grid to weights that are empty, NaN or infinite");
  }
  return { min, max };
}

/** The grid that a mapping lays over a range. */
function affineGrid(
  range: ValueRange,
  { bits, mapping, half: isHalf }: { bits: number; mapping: IntegerMapping; half: boolean },
): AffineGrid {
  const mask = 2 ** bits - 1, half = 2 ** (bits - 1);
  const levels = mapping === "sym-restricted" ? { min: -half, max: half - 1 } : { min: 0, max: mask };
  const exact = mappings[mapping].scale(range, levels);
  const scale = isHalf ? storedHalf(exact) : positive(exact);
  const zero = mappings[mapping].zeroPoint?.(range, scale, levels) ?? 0;
  return new AffineGrid(scale, zero, levels.min, levels.max, mask);
}

/** A range below float32's smallest normal number would give a scale of 0. */
function positive(scale: number): number {
  return scale > 0 ? scale : 2 ** -149;
}

/** Sum of weighted |error|^exponent, given up once it reaches `limit`. */
function clippedError(
  grid: AffineGrid,
  values: Float32Array,
  power: (distance: number) => number,
  limit: number,
  importance: Float32Array | Float64Array | undefined,
): number {
  // The body of `level` and `value`, inlined, because this loop runs eighty times over every weight.
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
  const signed = mapping === "sym-restricted", kind = { bits, mapping, half: scaleBits === 16 };
  // The square costs nothing to make; other powers are tables, made only where a search needs them.
  const power = createPower(candidates < 2 ? 2 : exponent);
  return {
    name: `${signed ? "int" : "uint"}${bits}`,
    bits,
    groupBits: scaleBits + (mapping.startsWith("asym") ? bits : 0),
    fit(values, importance): FittedGrid {
      const range = rangeOf(values);
      let best = affineGrid(range, kind);
      if (candidates < 2) return best;
      const weights = weighted ? importance : undefined;
      let bestError = clippedError(best, values, power, Infinity, weights);
      for (let i = 1; i < candidates; i++) {
        const shrink = Math.fround(1 - i / steps);
        const shrunk = { min: Math.fround(shrink * range.min), max: Math.fround(shrink * range.max) };
        const grid = affineGrid(shrunk, kind);
        const error = clippedError(grid, values, power, bestError, weights);
        if (error < bestError) [best, bestError] = [grid, error];
      }
      return best;
    },
  };
}
