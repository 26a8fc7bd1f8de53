// The two ways to round any grid: each weight to its nearest level, or column by column with GPTQ's compensation.
import { gptq, type GptqOptions } from "./gptq.ts";
import type { Grid } from "./grid.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { ascendingOrder, baseColumns } from "./outliers.ts";
import type { Rounder } from "./recipe.ts";

/** How {@linkcode nearestRounder} rounds. */
export interface NearestOptions {
  /** The values that a weight may take. */
  readonly grid: Grid;
  /** Weights of a row that share one fitted grid; the last group may be smaller. Default: the whole row. */
  readonly groupSize?: number;
  /**
   * What an error in each weight costs, `[outputs, inputs]`, such as squared gradients summed over samples; for grids that
   * weigh errors. Default: the Hessian's diagonal for every row.
   */
  readonly sensitivity?: Matrix;
}

/** Bits of codes and of the fitted grids for a weight of `rows` by `columns`. */
function gridBits(rows: number, columns: number, { grid, groupSize = Infinity }: NearestOptions): number {
  return rows * (columns * grid.bits + Math.ceil(columns / Math.min(groupSize, columns)) * grid.groupBits);
}

/**
 * Rounds each weight to the nearest level of its group's grid.
 *
 * @param options Grid and group size.
 * @returns The rounder.
 */
export function nearestRounder(options: NearestOptions): Rounder {
  const { grid, sensitivity } = options;
  return {
    name: `nearest ${grid.name}`,
    bits: grid.bits,
    round(weight, { calibration: { hessian }, outliers, sparse }) {
      const { rows, cols, data } = weight;
      const base = baseColumns(cols, outliers),
        groupSize = Math.min(options.groupSize ?? Infinity, base.length);
      const result = createMatrix(rows, cols, data.slice());
      for (let start = 0; start < base.length; start += groupSize) {
        const columns = base.subarray(start, start + groupSize);
        const importance = Float64Array.from(columns, (c) => hessian.rows ? hessian.data[c * cols + c] : 1);
        const values = new Float32Array(columns.length);
        for (let offset = 0; offset < data.length; offset += cols) {
          for (let i = 0; i < values.length; i++) values[i] = data[offset + columns[i]];
          if (sensitivity) {
            importance.forEach((_, i) => importance[i] = sensitivity.data[offset + columns[i]]);
          }
          const weights = sparse ? importance.map((h, i) => sparse[offset + columns[i]] ? 0 : h) : importance;
          const fitted = grid.fit(values, weights);
          for (let i = 0; i < values.length; i++) {
            result.data[offset + columns[i]] = fitted.decode(fitted.encode(values[i]));
          }
        }
      }
      return { weight: result, storedBits: gridBits(rows, base.length, options) };
    },
  };
}

/** How {@linkcode gptqRounder} rounds: as {@linkcode gptq} does, with calibration and outliers from the recipe. */
export interface GptqRounderOptions
  extends Omit<GptqOptions, "hessian" | "outliers" | "order" | "format" | "mapping" | "clip"> {
  /** The values that a weight may take. */
  readonly grid: Grid;
  /** Whether columns are rounded in ascending order of absmax, as QUIK does, where there are outliers. Default false. */
  readonly ascendingAbsmax?: boolean;
}

/**
 * Rounds with GPTQ.
 *
 * @param options Grid and variants.
 * @returns The rounder.
 */
export function gptqRounder(options: GptqRounderOptions): Rounder {
  const { grid, ascendingAbsmax = false, sparsity } = options;
  return {
    name: `gptq ${grid.name}`,
    bits: grid.bits,
    round(weight, { calibration: { hessian, absmax }, outliers }) {
      const order = ascendingAbsmax && outliers.length > 0 ? ascendingOrder(absmax) : undefined;
      const result = gptq(weight, { ...options, hessian, outliers, order });
      const { rows, cols } = weight, base = cols - outliers.length;
      let storedBits = gridBits(rows, base, options);
      // Groups in the order of rounding need a group index per column.
      if (options.actOrder && !options.staticGroups && result.groups > 1) storedBits += 32 * cols;
      if (sparsity) storedBits += sparseSavings(result.pruned!, sparsity, grid.bits);
      return { weight: result.weight, storedBits };
    },
  };
}

/** Pruned codes are not stored, but where they were is: two bits per kept weight of 2:4, one per weight otherwise. */
function sparseSavings(pruned: Uint8Array, sparsity: object, bits: number): number {
  const dropped = pruned.reduce((count, p) => count + p, 0), kept = pruned.length - dropped;
  return ("of" in sparsity ? 2 * kept : pruned.length) - bits * dropped;
}
