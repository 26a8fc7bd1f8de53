// Scales and zero points of a matrix: what is stored beside the codes, and how it is chosen.
import type { NumberFormat } from "../formats/mod.ts";
import { type BlockGrid, blocksOf, type Granularity, gridOf, perChannel } from "./granularity.ts";
import type { Mapping, MappingName, ValueRange } from "./mapping.ts";
import type { Matrix } from "./matrix.ts";
import type { ClipRule } from "./clip_rule.ts";
import { createFitter, paramsOf } from "./_fitter.ts";
import { readBlock } from "./_blocks.ts";
import { resolveClip, resolveFitting } from "./_fitting.ts";

/**
 * Parameters of `value = (decode(code) - zeroPoint) * scale + offset`, one set per block of the grid. Arrays are
 * `[gridRows, gridCols]`; an absent one is all zeros.
 */
export interface Qparams {
  /** The format of the codes. */
  readonly format: NumberFormat;
  /** The matrix's shape and its blocks. */
  readonly grid: BlockGrid;
  /** Scale of each block, never 0. */
  readonly scale: Float32Array<ArrayBuffer>;
  /** Zero point of each block, in levels. */
  readonly zeroPoint?: Float32Array<ArrayBuffer>;
  /** Offset of each block, in values. */
  readonly offset?: Float32Array<ArrayBuffer>;
  /** Lowest and highest level used. */
  readonly levels: ValueRange;
  /** The format to which the scales were rounded; float32 if absent. */
  readonly scaleFormat?: NumberFormat;
}

/** Options of {@linkcode chooseQparams}. */
export interface QparamsOptions {
  /** The format of the codes. */
  readonly format: NumberFormat;
  /**
   * Which elements share a scale.
   *
   * @default {perChannel()}
   */
  readonly granularity?: Granularity;
  /**
   * How the range of a block becomes scale and zero point: a name, or an object of one's own.
   *
   * @default {"asym" for a format without negative values, "absmax" for any other}
   */
  readonly mapping?: MappingName | Mapping;
  /**
   * How the range of a block is narrowed first: a rule, or `true` for the search of GPTQ and QUIK, `mseClip()`.
   *
   * @default {false}
   */
  readonly clip?: boolean | ClipRule;
  /**
   * The storage format of the scales (`float16`, `bfloat16`, `float8E4M3`, `float8E8M0`). Scales are rounded to it before
   * zero points and codes are computed.
   */
  readonly scaleFormat?: NumberFormat;
  /**
   * Leaves the lowest level of a signed format unused, for levels that are symmetric about zero.
   *
   * @default {false}
   */
  readonly narrowRange?: boolean;
}

/**
 * Chooses a scale, and where the mapping has them a zero point and offset, for every block of a matrix. NaN elements are
 * left out of the range; a block of zeros gets a finite scale.
 *
 * @param matrix The values, such as a weight `[outputs, inputs]` or activations `[tokens, features]`.
 * @param options Format, granularity, mapping, clip rule, scale format.
 * @returns The parameters.
 * @throws {RangeError} If a block holds an infinite value, or the format has too few levels for the mapping.
 *
 * @example Groups of 4 with float16 scales
 * ```ts
 * import { chooseQparams, createMatrix, dequantize, perGroup, quantize } from "@quik/quant/quant";
 * import { float16, int4 } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * const weight = createMatrix(1, 6, Float32Array.of(7, -3.5, 2, 0, 0.5, -1));
 * const qparams = chooseQparams(weight, { format: int4, granularity: perGroup(4), scaleFormat: float16 });
 * assertEquals(qparams.scale.length, 2);
 * assertEquals(dequantize(quantize(weight, qparams)).data.subarray(0, 4), Float32Array.of(7, -4, 2, 0));
 * ```
 */
export function chooseQparams(matrix: Matrix, options: QparamsOptions): Qparams {
  const clip = resolveClip(options.clip);
  const grid = gridOf(options.granularity ?? perChannel(), matrix);
  const fitter = createFitter(resolveFitting(options));
  const ranges: ValueRange[] = [];
  for (const place of blocksOf(grid)) {
    fitter.load(readBlock(matrix, place), place);
    ranges.push(clip === undefined ? fitter.fullRange : clip.range(fitter));
  }
  return qparamsFromRanges(ranges, { ...options, grid });
}

/** Options of {@linkcode qparamsFromRanges}: those of `chooseQparams`, with the blocks instead of a granularity. */
export interface RangeOptions extends Omit<QparamsOptions, "granularity" | "clip"> {
  /** The matrix's shape and its blocks. */
  readonly grid: BlockGrid;
}

/**
 * Makes parameters of ranges known beforehand, such as those of observers.
 *
 * @param ranges The range of every block of the grid, row after row.
 * @param options Blocks, format, mapping, scale format.
 * @returns The parameters.
 * @throws {RangeError} If there are not as many ranges as blocks, or one is not finite.
 */
export function qparamsFromRanges(ranges: readonly ValueRange[], options: RangeOptions): Qparams {
  const { grid, format, scaleFormat } = options;
  const fitting = resolveFitting(options);
  const count = grid.gridRows * grid.gridCols;
  if (ranges.length !== count) {
    throw new RangeError(`Cannot scale ${count} blocks with ${ranges.length} ranges: each block needs one`);
  }
  const scale = new Float32Array(count);
  const zeroPoint = new Float32Array(count);
  const offset = new Float32Array(count);
  ranges.forEach((range, index) => {
    if (!Number.isFinite(range.max - range.min)) {
      throw new RangeError(`Cannot scale the range from ${range.min} to ${range.max}: it must be finite`);
    }
    const params = paramsOf(range, fitting);
    scale[index] = params.scale;
    zeroPoint[index] = params.zeroPoint;
    offset[index] = params.offset;
  });
  return {
    format,
    grid,
    levels: fitting.levels,
    scale,
    zeroPoint: zeroPoint.some((value) => value !== 0) ? zeroPoint : undefined,
    offset: offset.some((value) => value !== 0) ? offset : undefined,
    scaleFormat,
  };
}
