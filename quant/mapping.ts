// How a range of values is laid over the levels of a format: the scale and zero-point formulas of the field, by name.
// All arithmetic is rounded to float32 step by step, as the sources do it.
import { roundHalfEven } from "../formats/mod.ts";

/** A closed interval of values. */
export interface ValueRange {
  /** Lowest value. */
  readonly min: number;
  /** Highest value. */
  readonly max: number;
}

/**
 * Turns the range of a block into the parameters of `value = (level - zeroPoint) * scale + offset`. A user's own mapping
 * is an object of this shape.
 */
export interface Mapping {
  /** The name it is known by. */
  readonly name: string;
  /**
   * The scale for a range, given the lowest and highest level. Must not be 0 or NaN for any finite range, be it a point.
   */
  scale(range: ValueRange, levels: ValueRange): number;
  /** The zero point, given the scale as stored; 0 when left out. */
  zeroPoint?(range: ValueRange, scale: number, levels: ValueRange): number;
  /** The offset, given the scale as stored; 0 when left out. */
  offset?(range: ValueRange, scale: number, levels: ValueRange): number;
}

/**
 * The mappings that have a name. Levels run from `qmin` to `qmax`, `n = qmax - qmin` (15 in 4 bits), `m = max |x|`.
 *
 * | name | scale | zero point | used by |
 * | --- | --- | --- | --- |
 * | `absmax` | `m / qmax` | none | float and codebook formats: 448 for E4M3, 6 for E2M1, 1 for NF4 |
 * | `sym-restricted` | `m / floor(n / 2)`: 7 in 4 bits | the middle: 0 or 8 | QUIK, QuaRot, SmoothQuant, LLM.int8() |
 * | `sym-full` | `2 m / n`: 7.5 in 4 bits | the middle: 0 or 8 | GPTQ `--sym`, MARLIN; torchao and compressed-tensors symmetric |
 * | `sym-no-clip` | the larger of `max / qmax` and `min / qmin` | none | torchao `SYMMETRIC_NO_CLIPPING_ERR` |
 * | `sym-signed` | the value of largest magnitude over `qmin`; may be negative | none | GGUF Q4_0, ONNX Runtime |
 * | `asym` | `(max - min) / n`, range widened to hold 0 | `qmin - round(min / scale)` | GPTQ, QuaRot, QUIK's simulation |
 * | `asym-raw` | `(max - min) / n`, range as it is, at least 1e-5 | the same, clamped to the levels | AWQ |
 * | `min-max` | `(max - min) / n`, range as it is, at least 1e-6 | `qmin`, with offset `min` | QUIK's kernels, KIVI, Q4_1 |
 *
 * A block of zeros has `m = 1`, or the range -1 to 1 in `asym`.
 */
export type MappingName =
  | "absmax"
  | "sym-restricted"
  | "sym-full"
  | "sym-no-clip"
  | "sym-signed"
  | "asym"
  | "asym-raw"
  | "min-max";

/** Smallest range that `asym-raw` divides, as in AWQ. */
const ASYM_RAW_MIN_RANGE = 1e-5;

/** Smallest scale of `min-max`, as in QUIK's kernels. */
const MIN_MAX_MIN_SCALE = 1e-6;

const fround = Math.fround;

/** Largest magnitude of the range; 1 for a block of zeros. */
function magnitudeOf(range: ValueRange): number {
  return Math.max(-range.min, range.max) || 1;
}

/** The level that stands for zero when positive and negative values share the levels evenly. */
function middleOf(_range: ValueRange, _scale: number, levels: ValueRange): number {
  return Math.ceil((levels.min + levels.max) / 2) + 0;
}

function widenToZero(range: ValueRange): ValueRange {
  if (range.min === 0 && range.max === 0) return { min: -1, max: 1 };
  return { min: Math.min(range.min, 0), max: Math.max(range.max, 0) };
}

/** The named mappings. */
export const mappings: Readonly<Record<MappingName, Mapping>> = {
  "absmax": {
    name: "absmax",
    scale: (range, levels) => fround(magnitudeOf(range) / levels.max),
  },
  "sym-restricted": {
    name: "sym-restricted",
    scale: (range, levels) => fround(magnitudeOf(range) / Math.floor((levels.max - levels.min) / 2)),
    zeroPoint: middleOf,
  },
  "sym-full": {
    name: "sym-full",
    scale: (range, levels) => fround(2 * magnitudeOf(range) / (levels.max - levels.min)),
    zeroPoint: middleOf,
  },
  "sym-no-clip": {
    name: "sym-no-clip",
    scale: (range, levels) =>
      fround(Math.max(range.max / levels.max, range.min / levels.min)) || fround(1 / levels.max),
  },
  "sym-signed": {
    name: "sym-signed",
    scale: (range, levels) =>
      fround((range.max >= -range.min ? range.max : range.min) / levels.min) || fround(1 / levels.max),
  },
  "asym": {
    name: "asym",
    scale: (range, levels) => {
      const wide = widenToZero(range);
      return fround(fround(wide.max - wide.min) / (levels.max - levels.min));
    },
    zeroPoint: (range, scale, levels) => levels.min + roundHalfEven(fround(-widenToZero(range).min / scale)),
  },
  "asym-raw": {
    name: "asym-raw",
    scale: (range, levels) =>
      fround(
        Math.max(fround(range.max - range.min), fround(ASYM_RAW_MIN_RANGE)) / (levels.max - levels.min),
      ),
    zeroPoint: (range, scale, levels) => {
      const zeroPoint = levels.min - roundHalfEven(fround(range.min / scale));
      return Math.min(Math.max(zeroPoint, levels.min), levels.max);
    },
  },
  "min-max": {
    name: "min-max",
    scale: (range, levels) =>
      Math.max(
        fround(fround(range.max - range.min) / (levels.max - levels.min)),
        fround(MIN_MAX_MIN_SCALE),
      ),
    zeroPoint: (_range, _scale, levels) => levels.min,
    offset: (range) => range.min,
  },
};
