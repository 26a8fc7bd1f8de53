// The sweep of GPTQ: rows are independent given the factor of the inverse Hessian, so each block of columns is rounded
// row by row, and the columns behind the block are updated once per block. All inner loops run along a row.
import type { GroupPlan } from "./_gptq_groups.ts";
import { checkSparsity, markPattern, markRatio, type Sparsity } from "./_gptq_prune.ts";
import type { FittedGrid, Grid } from "./grid.ts";

/** Everything a sweep needs; columns are in the order of rounding. */
export interface Sweep {
  readonly rows: number;
  readonly columns: number;
  /** Columns that are rounded; the rest are outliers. */
  readonly base: number;
  /** Upper factor of the inverse Hessian, `[columns, columns]`. */
  readonly factor: Float64Array;
  readonly grid: Grid;
  /** Fitted grids `[rows, groups]`; filled here unless the groups are static. */
  readonly grids: FittedGrid[];
  readonly plan: GroupPlan;
  /** The Hessian's diagonal, for grids that weigh errors. */
  readonly importance: Float64Array;
  readonly blockSize: number;
  readonly sparsity?: Sparsity;
}

/** What a sweep finds, in the order of rounding. */
export interface Swept {
  readonly codes: Uint8Array<ArrayBuffer>;
  readonly pruned?: Uint8Array<ArrayBuffer>;
  readonly loss: Float64Array<ArrayBuffer>;
}

/**
 * End of the block that starts at `start`. A group fitted during the sweep must start at a block's start, or lie wholly
 * inside a block, or its last columns would be fitted before they are compensated.
 */
function blockEnd(start: number, { base, blockSize, plan, sparsity }: Sweep): number {
  const of = sparsity && "of" in sparsity ? sparsity.of : 1;
  const end = start + Math.ceil(blockSize / of) * of;
  if (end >= base) return base;
  const groupStart = end - (end % plan.groupSize);
  return plan.static || groupStart <= start ? end : groupStart;
}

/**
 * Rounds the base columns of `work [rows, columns]` in place and leaves the outlier columns compensated.
 */
export function sweepColumns(work: Float64Array, sweep: Sweep): Swept {
  const { rows, columns, base, sparsity } = sweep;
  if (sparsity) checkSparsity(sparsity);
  const swept: Swept = {
    codes: new Uint8Array(rows * columns),
    loss: new Float64Array(rows),
    ...(sparsity ? { pruned: new Uint8Array(rows * columns) } : {}),
  };
  for (let start = 0, end = 0; start < base; start = end) {
    end = blockEnd(start, sweep);
    if (sparsity && "ratio" in sparsity) {
      const span = { work, columns, factor: sweep.factor, start, end };
      markRatio(swept.pruned!, rows, span, sparsity.ratio);
    }
    const errors = new Float64Array(end - start);
    for (let row = 0; row < rows; row++) {
      roundBlock(work, errors, { sweep, swept, row, start, end });
      propagate(work.subarray(row * columns, (row + 1) * columns), errors, sweep.factor, start, end);
    }
  }
  return swept;
}

/** One row of one block. */
interface RowBlock {
  readonly sweep: Sweep;
  readonly swept: Swept;
  readonly row: number;
  readonly start: number;
  readonly end: number;
}

function roundBlock(work: Float64Array, errors: Float64Array, block: RowBlock): void {
  const { sweep, swept, row, start, end } = block;
  const { columns, factor, plan, grids, sparsity } = sweep, offset = row * columns;
  const pattern = sparsity && "of" in sparsity ? sparsity : undefined;
  let loss = 0;
  for (let k = start; k < end; k++) {
    if (!plan.static && k % plan.groupSize === 0) fitGroup(work, block, k);
    if (pattern && k % pattern.of === 0) {
      const span = { work, columns, factor, start: k, end: Math.min(k + pattern.of, end) };
      markPattern(swept.pruned!, row, span, pattern);
    }
    const value = work[offset + k];
    let rounded = 0;
    if (!swept.pruned?.[offset + k]) {
      const fitted = grids[row * plan.groups + plan.groupAt[k]];
      const code = fitted.encode(value);
      swept.codes[offset + k] = code;
      rounded = fitted.decode(code);
    }
    const error = (value - rounded) / factor[k * columns + k];
    work[offset + k] = rounded;
    errors[k - start] = error;
    loss += error * error;
    const factorRow = k * columns;
    for (let j = k + 1; j < end; j++) work[offset + j] -= error * factor[factorRow + j];
  }
  swept.loss[row] += loss / 2;
}

function fitGroup(work: Float64Array, { sweep, row }: RowBlock, k: number): void {
  const { columns, base, plan, grid, grids, importance } = sweep;
  const last = Math.min(k + plan.groupSize, base), offset = row * columns;
  const values = Float32Array.from(work.subarray(offset + k, offset + last));
  grids[row * plan.groups + plan.groupAt[k]] = grid.fit(values, importance.subarray(k, last));
}

/** `row[j] -= sum_k errors[k] * factor[k, j]` for the columns behind the block, four k at a time. */
function propagate(
  row: Float64Array,
  errors: Float64Array,
  factor: Float64Array,
  start: number,
  end: number,
): void {
  const columns = row.length;
  let k = start;
  for (; k + 3 < end; k += 4) {
    const e0 = errors[k - start], e1 = errors[k - start + 1];
    const e2 = errors[k - start + 2], e3 = errors[k - start + 3];
    const f0 = k * columns, f1 = f0 + columns, f2 = f1 + columns, f3 = f2 + columns;
    for (let j = end; j < columns; j++) {
      row[j] -= e0 * factor[f0 + j] + e1 * factor[f1 + j] + (e2 * factor[f2 + j] + e3 * factor[f3 + j]);
    }
  }
  for (; k < end; k++) {
    const error = errors[k - start], f = k * columns;
    for (let j = end; j < columns; j++) row[j] -= error * factor[f + j];
  }
}
