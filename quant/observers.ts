// Observers: they see calibration data batch by batch, then tell the range that a static scale is to cover. Two phases, so
// that layers with a common input can share what was observed, and one observation can serve several formats.
import { createHistogram } from "./_histogram.ts";
import { createFitter } from "./_fitter.ts";
import { resolveFitting } from "./_fitting.ts";
import { mseClip, type MseClipOptions } from "./clip_rule.ts";
import type { ValueRange } from "./mapping.ts";
import type { Matrix } from "./matrix.ts";
import type { QparamsOptions } from "./qparams.ts";

/**
 * Gathers the range of many batches. NaN is left out; infinity counts only for {@linkcode minMaxObserver} and is refused
 * when a scale is made of it. A user's own observer is an object of this shape.
 */
export interface Observer {
  /** The name it is known by. */
  readonly name: string;
  /** Takes in one batch. */
  observe(batch: Matrix): void;
  /** The range so far; a point at 0 before anything was seen. Give it to `qparamsFromRanges`. */
  range(): ValueRange;
}

/** Lowest and highest value of a batch without NaN; `undefined` if nothing is left. */
function extremesOf(batch: Matrix): ValueRange | undefined {
  let min = Infinity;
  let max = -Infinity;
  for (const value of batch.data) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return min <= max ? { min, max } : undefined;
}

/**
 * The range of everything seen.
 *
 * @returns A fresh observer.
 *
 * @example A static scale for activations
 * ```ts
 * import { createMatrix, gridOf, minMaxObserver, perTensor, qparamsFromRanges } from "@quik/quant/quant";
 * import { uint8 } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * const observer = minMaxObserver();
 * observer.observe(createMatrix(1, 2, Float32Array.of(-1, 2)));
 * observer.observe(createMatrix(1, 2, Float32Array.of(0, 4.1)));
 * const grid = gridOf(perTensor(), { rows: 16, cols: 2 });
 * const qparams = qparamsFromRanges([observer.range()], { grid, format: uint8, mapping: "asym" });
 * assertEquals(qparams.scale[0], Math.fround(5.1 / 255));
 * ```
 */
export function minMaxObserver(): Observer {
  let range: ValueRange | undefined;
  return {
    name: "min-max",
    observe(batch) {
      const extremes = extremesOf(batch);
      if (extremes === undefined) return;
      range = range === undefined
        ? extremes
        : { min: Math.min(range.min, extremes.min), max: Math.max(range.max, extremes.max) };
    },
    range: () => range ?? { min: 0, max: 0 },
  };
}

/** Options of {@linkcode movingAverageObserver}. */
export interface MovingAverageOptions {
  /**
   * Weight of each new batch, above 0 and at most 1.
   *
   * @default {0.01}
   */
  readonly averagingConstant?: number;
}

/**
 * The exponential moving average of the batches' ranges: `min += c * (batch min - min)`, the first batch as it is.
 *
 * @param options The averaging constant.
 * @returns A fresh observer.
 * @throws {RangeError} If the constant is out of range.
 */
export function movingAverageObserver(options: MovingAverageOptions = {}): Observer {
  const { averagingConstant = 0.01 } = options;
  if (!(averagingConstant > 0 && averagingConstant <= 1)) {
    throw new RangeError(
      `Cannot average with a constant of ${averagingConstant}: it must be above 0 and at most 1`,
    );
  }
  let range: ValueRange | undefined;
  return {
    name: "moving-average",
    observe(batch) {
      const extremes = extremesOf(batch);
      if (extremes === undefined) return;
      range = range === undefined ? extremes : {
        min: range.min + averagingConstant * (extremes.min - range.min),
        max: range.max + averagingConstant * (extremes.max - range.max),
      };
    },
    range: () => range ?? { min: 0, max: 0 },
  };
}

/** Options of {@linkcode percentileObserver} and {@linkcode mseObserver}. */
export interface HistogramOptions {
  /**
   * Bins over the range seen so far, a power of two. When a value falls outside, the range doubles and bins merge.
   *
   * @default {2048}
   */
  readonly bins?: number;
}

/**
 * The range between two quantiles of everything seen, from a histogram: exact to one bin.
 *
 * @param share The upper quantile, above 0.5 and at most 1, such as 0.9999; the lower one is `1 - share`.
 * @param options Bins.
 * @returns A fresh observer.
 * @throws {RangeError} If the share or the bins are out of range.
 */
export function percentileObserver(share: number, options: HistogramOptions = {}): Observer {
  if (!(share > 0.5 && share <= 1)) {
    throw new RangeError(`Cannot observe a percentile of ${share}: it must be above 0.5 and at most 1`);
  }
  const histogram = createHistogram(options.bins);
  return {
    name: "percentile",
    observe: (batch) => histogram.add(batch.data),
    range: () => ({ min: histogram.quantile(1 - share), max: histogram.quantile(share) }),
  };
}

/** Options of {@linkcode mseObserver}: the format and mapping that the range is for, and the candidates. */
export interface MseObserverOptions
  extends Omit<QparamsOptions, "granularity" | "clip">, HistogramOptions, MseClipOptions {}

/**
 * The range of least quantization error over everything seen, each bin of a histogram counted at its middle: the search of
 * {@linkcode mseClip} on the distribution instead of on values.
 *
 * @param options Format, mapping, candidates, bins.
 * @returns A fresh observer.
 */
export function mseObserver(options: MseObserverOptions): Observer {
  const histogram = createHistogram(options.bins);
  const fitter = createFitter(resolveFitting(options));
  const rule = mseClip({ exponent: 2, ...options, weighted: true });
  return {
    name: "mse",
    observe: (batch) => histogram.add(batch.data),
    range() {
      const { values, counts } = histogram.points();
      if (values.length === 0) return { min: 0, max: 0 };
      fitter.load(values, { index: 0, row: 0, col: 0, rows: 1, cols: values.length }, counts);
      return rule.range(fitter);
    },
  };
}

/** Gathers `max |x|` per column: QUIK's outlier statistic, SmoothQuant's scales. */
export interface ColumnAbsmaxObserver {
  /** Takes in one batch `[tokens, columns]`. */
  observe(batch: Matrix): void;
  /** The largest magnitude of each column so far. */
  absmax(): Float32Array<ArrayBuffer>;
}

/**
 * The largest magnitude of each column over everything seen, without NaN.
 *
 * @param columns Number of columns.
 * @returns A fresh observer.
 */
export function columnAbsmaxObserver(columns: number): ColumnAbsmaxObserver {
  const absmax = new Float32Array(columns);
  return {
    observe(batch) {
      if (batch.cols !== columns) {
        throw new RangeError(`Cannot observe ${batch.cols} columns: the observer has ${columns}`);
      }
      for (let start = 0; start < batch.data.length; start += columns) {
        for (let col = 0; col < columns; col++) {
          const magnitude = Math.abs(batch.data[start + col]);
          if (magnitude > absmax[col]) absmax[col] = magnitude;
        }
      }
    },
    absmax: () => absmax.slice(),
  };
}
