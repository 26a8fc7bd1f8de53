// QUIK's split: the input columns with the largest calibrated magnitude keep 16 bits in weights and activations.
import { type OutlierOptions, selectOutlierColumns } from "./outliers.ts";
import type { Splitter } from "./recipe.ts";

/**
 * Outlier columns as a step of a recipe. Stored are the columns' 16-bit weights and a 32-bit index each.
 *
 * @param options How many, and when none.
 * @returns The splitter.
 */
export function outlierColumns(options: OutlierOptions): Splitter {
  return {
    name: "outlier-columns",
    split(weight, { absmax }) {
      const outliers = selectOutlierColumns(absmax, options);
      return { outliers, rest: weight, storedBits: outliers.length * (16 * weight.rows + 32) };
    },
  };
}
