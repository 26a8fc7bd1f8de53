// Fitted grids from a table of a group's own: codebooks, binary codes.
import type { FittedGrid } from "./grid.ts";

/**
 * A fitted grid from a table: the value of code i is `levels[i]`.
 *
 * @param levels At least one finite value, in any order; at most 256.
 * @param scale What to report as scale. Default 1.
 * @returns The grid; a value midway between two levels takes the lower.
 */
export function levelGrid(levels: ArrayLike<number>, scale = 1): FittedGrid {
  const table = Float32Array.from(levels);
  const order = Uint8Array.from(table.keys()).sort((a, b) => table[a] - table[b] || a - b);
  const bounds = Float64Array.from(
    { length: table.length - 1 },
    (_, i) => (table[order[i]] + table[order[i + 1]]) / 2,
  );
  return {
    scale,
    zero: 0,
    encode(value): number {
      let low = 0, high = bounds.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (value > bounds[middle]) low = middle + 1;
        else high = middle;
      }
      return order[low];
    },
    decode: (code) => table[code],
  };
}
