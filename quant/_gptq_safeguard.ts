// GPTQ is not bound to beat plain rounding on every row; where it does not, the row is rounded plainly.
import type { FittedGrid } from "./grid.ts";
import type { Matrix } from "./matrix.ts";

/** What the safeguard compares and corrects. */
export interface Safeguard {
  /** Original weights, `[outputs, inputs]`. */
  readonly weight: Matrix;
  /** `[inputs, inputs]`. */
  readonly hessian: Matrix;
  /** Added to the Hessian's diagonal. */
  readonly damping: number;
  /** Grids `[outputs, groups]` and the group of each column. */
  readonly grids: readonly FittedGrid[];
  readonly groups: number;
  readonly gIdx: Uint32Array;
  /** Columns that are rounded. */
  readonly base: Uint32Array;
  /** GPTQ's results, corrected in place. */
  readonly codes: Uint8Array;
  readonly rounded: Matrix;
  readonly loss: Float64Array;
}

/** Replaces the rows on which plain rounding to the same grids has less loss. */
export function keepBetterRows(safeguard: Safeguard): void {
  const { weight: { data, rows, cols }, hessian, damping, grids, groups, gIdx, base } = safeguard;
  const change = new Float64Array(cols), codes = new Uint8Array(cols);
  for (let row = 0; row < rows; row++) {
    for (const c of base) {
      const grid = grids[row * groups + gIdx[c]], value = data[row * cols + c];
      codes[c] = grid.encode(value);
      change[c] = grid.decode(codes[c]) - value;
    }
    let loss = 0;
    for (let i = 0; i < cols; i++) {
      let product = damping * change[i];
      for (let j = 0; j < cols; j++) product += hessian.data[i * cols + j] * change[j];
      loss += change[i] * product / 2;
    }
    if (loss >= safeguard.loss[row]) continue;
    safeguard.loss[row] = loss;
    safeguard.codes.set(codes, row * cols);
    for (let c = 0; c < cols; c++) safeguard.rounded.data[row * cols + c] = data[row * cols + c] + change[c];
    for (const c of base) {
      safeguard.rounded.data[row * cols + c] = grids[row * groups + gIdx[c]].decode(codes[c]);
    }
  }
}
