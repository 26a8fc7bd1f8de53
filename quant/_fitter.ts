// Fits one block of values after another to the levels of a format: the range, its scale and zero point, and what the
// values become under them. Both `chooseQparams` and `formatGrid` run on it.
import { type CodeArray, createEncoder, levelsOf, type NumberFormat, roundHalfEven } from "../formats/mod.ts";
import type { ClipBlock } from "./clip_rule.ts";
import type { BlockPlace } from "./granularity.ts";
import type { Mapping, ValueRange } from "./mapping.ts";

/** What a fitter needs to know. */
export interface FitterOptions {
  readonly format: NumberFormat;
  readonly mapping: Mapping;
  readonly levels: ValueRange;
  readonly scaleFormat?: NumberFormat;
}

/** Parameters of one block: `value = (level - zeroPoint) * scale + offset`. */
export interface BlockParams {
  readonly scale: number;
  readonly zeroPoint: number;
  readonly offset: number;
}

/** The smallest positive float32, for scales that would round to 0. */
const SMALLEST_SCALE = 2 ** -149;

const fround = Math.fround;

/** Scale, zero point and offset of a range. */
export function paramsOf(range: ValueRange, options: FitterOptions): BlockParams {
  const { mapping, levels, scaleFormat } = options;
  const scale = storedScale(mapping.scale(range, levels), scaleFormat);
  return {
    scale,
    zeroPoint: mapping.zeroPoint?.(range, scale, levels) ?? 0,
    offset: mapping.offset?.(range, scale, levels) ?? 0,
  };
}

/** A scale as its storage format keeps it; a scale that would become 0 is the smallest one above. */
function storedScale(scale: number, scaleFormat: NumberFormat | undefined): number {
  if (scaleFormat === undefined) return fround(scale) || SMALLEST_SCALE;
  const stored = scaleFormat.decode(scaleFormat.encode(scale));
  return stored !== 0 ? stored : Math.sign(scale || 1) * scaleFormat.decode(1);
}

/**
 * Values in units of levels, ready for the format's encoder: `(value - offset) / scale`, rounded to an integer before an
 * integer zero point is added (ONNX's order), limited to the levels in use.
 */
export function toLevels(
  values: Float32Array<ArrayBuffer>,
  params: BlockParams,
  levels: ValueRange,
  scaled: Float32Array<ArrayBuffer>,
  start = 0,
  end = values.length,
): void {
  const { scale, zeroPoint, offset } = params;
  const { min, max } = levels;
  for (let i = start; i < end; i++) {
    let level = fround(values[i] - offset) / scale;
    if (zeroPoint !== 0) level = (roundHalfEven(fround(level)) || 0) + zeroPoint;
    scaled[i] = level < min ? min : level > max ? max : level;
  }
}

/** The value of a level under the parameters of its block. */
export function valueOf(level: number, { scale, zeroPoint, offset }: BlockParams): number {
  const value = fround(fround(level - zeroPoint) * scale);
  return offset === 0 ? value : fround(value + offset); // keeps -0
}

/** Lowest and highest value, NaN left out; a point at 0 if there is none. */
export function rangeOf(values: Float32Array<ArrayBuffer>): ValueRange {
  let min = Infinity;
  let max = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (min > max) return { min: 0, max: 0 };
  if (min === -Infinity || max === Infinity) {
    throw new RangeError("Cannot choose a scale for a block that holds an infinite value");
  }
  return { min, max };
}

/** A {@linkcode ClipBlock} that is filled with one block's values after another. */
export interface Fitter extends ClipBlock {
  /** Makes `values` the current block. */
  load(values: Float32Array<ArrayBuffer>, place: BlockPlace, importance?: ArrayLike<number>): void;
}

export function createFitter(options: FitterOptions): Fitter {
  const { format, levels } = options;
  const encode = createEncoder(format);
  const levelTable = levelsOf(format);
  let values = new Float32Array(0);
  let scratch = new Float32Array(0);
  let codes: CodeArray = new Uint8Array(0);
  let place: BlockPlace = { index: 0, row: 0, col: 0, rows: 0, cols: 0 };
  let range: ValueRange = { min: 0, max: 0 };
  let importance: ArrayLike<number> | undefined;
  let paramsRange: ValueRange | undefined;
  let params: BlockParams = { scale: 1, zeroPoint: 0, offset: 0 };
  return {
    get values() {
      return values;
    },
    get place() {
      return place;
    },
    get fullRange() {
      return range;
    },
    get importance() {
      return importance;
    },
    load(newValues, newPlace, newImportance) {
      values = newValues;
      place = newPlace;
      importance = newImportance;
      range = rangeOf(values);
      if (scratch.length !== values.length) {
        scratch = new Float32Array(values.length);
        codes = format.bits <= 8 ? new Uint8Array(values.length) : new Uint16Array(values.length);
      }
    },
    reconstruct(candidate, start = 0, end = values.length) {
      if (candidate !== paramsRange) {
        params = paramsOf(candidate, options);
        paramsRange = candidate;
      }
      toLevels(values, params, levels, scratch, start, end);
      encode(scratch, codes, start, end);
      for (let i = start; i < end; i++) scratch[i] = valueOf(levelTable[codes[i]], params);
      return scratch;
    },
  };
}
