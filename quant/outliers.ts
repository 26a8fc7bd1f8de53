// Which input columns stay in 16 bits: QUIK's rules (arXiv 2310.09259, section 3.2 and its simulation), with one tie rule.

/** Which columns {@linkcode selectOutlierColumns} takes. */
export interface OutlierOptions {
  /** Columns to keep in 16 bits. Clamped to the number of columns. */
  readonly count: number;
  /**
   * The zero-outlier rule: a layer whose largest `absmax` is at most the threshold keeps no outliers. An 8-bit layer
   * compares with twice the threshold, as the authors' code does. Default 0.
   */
  readonly threshold?: number;
  /** Bits of the layer's codes; only the threshold depends on it. Default 4. */
  readonly bits?: 4 | 8;
  /**
   * The number of remaining columns must be a multiple of this; columns are added to the outliers until it is. Packed
   * int4 needs 2, 16-byte rows of int4 need 32. Default 1.
   */
  readonly baseMultiple?: number;
}

/**
 * Columns in ascending order of a statistic; equal columns keep their natural order. This is the one tie rule: the last
 * `count` of this order are the outliers, so of equal columns the one with the higher index is taken first.
 *
 * @param statistic One value per column, such as `absmax`.
 * @returns A permutation of the columns.
 */
export function ascendingOrder(statistic: Float32Array | Float64Array): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(statistic.keys()).sort((a, b) => statistic[a] - statistic[b] || a - b);
}

/**
 * Chooses the columns that stay in 16 bits: those with the largest calibrated `|x|`.
 *
 * @param absmax `max |x_j|` per input column.
 * @param options How many, and when none.
 * @returns Their indices, ascending.
 * @throws {RangeError} If a value is NaN, infinite or negative, or an option is out of range.
 *
 * @example Usage
 * ```ts
 * import { selectOutlierColumns } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const absmax = Float32Array.of(1, 9, 2, 9, 30, 1);
 * assertEquals(selectOutlierColumns(absmax, { count: 2 }), Uint32Array.of(3, 4)); // of the two nines the later
 * assertEquals(selectOutlierColumns(absmax, { count: 2, threshold: 40 }), new Uint32Array(0));
 * assertEquals(selectOutlierColumns(absmax, { count: 1, baseMultiple: 2 }), Uint32Array.of(3, 4));
 * ```
 */
export function selectOutlierColumns(
  absmax: Float32Array,
  options: OutlierOptions,
): Uint32Array<ArrayBuffer> {
  const { count, threshold = 0, bits = 4, baseMultiple = 1 } = options;
  if (!Number.isInteger(count) || count < 0) {
    throw new RangeError(`Cannot select ${count} outlier columns: the count must be a non-negative integer`);
  }
  if (!Number.isInteger(baseMultiple) || baseMultiple < 1) {
    throw new RangeError(`Cannot keep a multiple of ${baseMultiple} base columns: it must be positive`);
  }
  let largest = 0;
  for (let c = 0; c < absmax.length; c++) {
    if (!(absmax[c] >= 0 && absmax[c] < Infinity)) {
      throw new RangeError(`Cannot select outlier columns: absmax of column ${c} is ${absmax[c]}`);
    }
    largest = Math.max(largest, absmax[c]);
  }
  const wanted = largest <= threshold * (bits === 8 ? 2 : 1) ? 0 : Math.min(count, absmax.length);
  const base = absmax.length - wanted;
  const first = base - (base % baseMultiple);
  return ascendingOrder(absmax).subarray(first).slice().sort();
}

/** The layer whose outlier count {@linkcode widenedOutlierCount} scales. */
export interface WidenedCountOptions {
  /** Input features of the layer. */
  readonly inputs: number;
  /** Width of the residual stream, to which `count` belongs. */
  readonly hidden: number;
}

/**
 * The number of outliers of a layer that is wider than the residual stream, such as a down projection:
 * `count * trunc(inputs / hidden)` as in the authors' simulation, never below `count`.
 *
 * @param count Outliers of a layer of width `hidden`.
 * @param options The widths.
 * @returns The widened count.
 *
 * @example Usage
 * ```ts
 * import { widenedOutlierCount } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(widenedOutlierCount(256, { inputs: 28672, hidden: 8192 }), 768); // LLaMA-2 70B
 * ```
 */
export function widenedOutlierCount(count: number, options: WidenedCountOptions): number {
  return count * Math.max(1, Math.trunc(options.inputs / options.hidden));
}

/**
 * The columns that are not outliers.
 *
 * @param columns Number of columns.
 * @param outliers Ascending indices below `columns`.
 * @returns The other indices, ascending.
 * @throws {RangeError} If the outliers are not ascending, distinct and in range.
 */
export function baseColumns(columns: number, outliers: Uint32Array): Uint32Array<ArrayBuffer> {
  for (let i = 0; i < outliers.length; i++) {
    if (outliers[i] >= columns || (i > 0 && outliers[i] <= outliers[i - 1])) {
      throw new RangeError(
        `Cannot use ${
          outliers[i]
        } as outlier ${i} of ${columns} columns: indices must ascend and be in range`,
      );
    }
  }
  const base = new Uint32Array(columns - outliers.length);
  for (let c = 0, next = 0, b = 0; c < columns; c++) {
    if (outliers[next] === c) next++;
    else base[b++] = c;
  }
  return base;
}
