// GPTQ (arXiv 2210.17323): round column by column and let the columns still unrounded absorb each error, measured by
// the Hessian of the layer's inputs. One engine for every grid, with QUIK's outlier columns and SparseGPT's pruning.
import type { NumberFormat } from "../formats/mod.ts";
import { dampedInverseFactor } from "./cholesky.ts";
import { type ClipRule, mseClip } from "./clip_rule.ts";
import { formatGrid } from "./format_grid.ts";
import type { FittedGrid, Grid } from "./grid.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { createMatrix64, type Matrix64 } from "./matrix64.ts";
import { baseColumns } from "./outliers.ts";
import type { QparamsOptions } from "./qparams.ts";
import { keepBetterRows } from "./_gptq_safeguard.ts";
import { sweepColumns } from "./_gptq_sweep.ts";
import { fitStaticGroups, planGroups } from "./_gptq_groups.ts";
import type { Sparsity } from "./_gptq_prune.ts";
export type { Sparsity } from "./_gptq_prune.ts";

/** How {@linkcode gptq} rounds. */
export interface GptqOptions {
  /** `x^T x` of the layer's inputs times any factor, `[inputs, inputs]`. */
  readonly hessian: Matrix;
  /** The values that a weight may take. Either this or `format`. */
  readonly grid?: Grid;
  /** A number format of at most 8 bits, instead of a grid; fitted as {@linkcode formatGrid} does. */
  readonly format?: NumberFormat;
  /** How a format's range becomes scale and zero point. Default: `asym` for formats without a sign, else `absmax`. */
  readonly mapping?: QparamsOptions["mapping"];
  /** How a format's range is narrowed first: `true` for the search of GPTQ and QUIK. Default: not. */
  readonly clip?: boolean | ClipRule;
  /** Columns that are never rounded but absorb errors; ascending. Default none. */
  readonly outliers?: Uint32Array;
  /** Weights per row that share one fitted grid. Default: all of a row's. */
  readonly groupSize?: number;
  /**
   * Whether groups are fitted to the original weights and hold neighbouring columns, rather than to the partly
   * compensated weights in the order of rounding. A row that is one group is always fitted to the original weights.
   */
  readonly staticGroups?: boolean;
  /** Whether columns are rounded in descending order of the Hessian's diagonal. Default false. */
  readonly actOrder?: boolean;
  /** Explicit order of rounding, a permutation of all columns; outliers move to its end. Excludes `actOrder`. */
  readonly order?: Uint32Array;
  /** Columns per lazy update. Does not change the result. Default 128. */
  readonly blockSize?: number;
  /** Damping, as a multiple of the mean of the Hessian's diagonal. Default 0.01. */
  readonly percDamp?: number;
  /** Whether a row on which plain rounding to the same grid has less loss is rounded plainly. Default false. */
  readonly safeguard?: boolean;
  /** Weights to set to zero on the way (SparseGPT). Default none. */
  readonly sparsity?: Sparsity;
}

/** Codes, grids and dequantized weights, all in the natural order of columns. */
export interface GptqResult {
  /** `[outputs, inputs]` codes of the grid. Meaningless in outlier columns and where pruned. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** The grid of each row and group, `[outputs, groups]`. */
  readonly grids: readonly FittedGrid[];
  /** Their scales, `[outputs, groups]`. */
  readonly scales: Float32Array<ArrayBuffer>;
  /** Their zero points, `[outputs, groups]`. */
  readonly zeros: Float32Array<ArrayBuffer>;
  /** Groups per row. */
  readonly groups: number;
  /** Group of each column, `[inputs]`. Outlier columns say 0. */
  readonly gIdx: Uint32Array<ArrayBuffer>;
  /** `[outputs, inputs]` dequantized weights; outlier columns hold their compensated values. */
  readonly weight: Matrix;
  /** 1 where a weight was pruned, `[outputs, inputs]`; only with `sparsity`. */
  readonly pruned?: Uint8Array<ArrayBuffer>;
  /** Half the squared output error per row: `(w - w') H (w - w')^T / 2`, H damped. */
  readonly loss: Float64Array<ArrayBuffer>;
  /** What was added to the Hessian's diagonal. */
  readonly damping: number;
}

/** The grid of the options, whichever way they say it. */
function gridOf({ grid, format, mapping, clip }: GptqOptions): Grid {
  if ((grid === undefined) === (format === undefined)) {
    throw new TypeError("Cannot tell the values that weights may take: give either a grid or a format");
  }
  if (grid && (mapping !== undefined || clip !== undefined)) {
    throw new TypeError("Cannot change a grid's mapping or clipping: they go with a format");
  }
  if (grid) return grid;
  const rule = clip === true ? mseClip() : clip || undefined;
  return formatGrid({
    format: format!,
    ...(mapping === undefined ? {} : { mapping }),
    ...(rule === undefined ? {} : { clip: rule }),
  });
}

/** The order in which columns are rounded: base columns as asked, then outliers. */
function columnOrder(diagonal: Float64Array, outliers: Uint32Array, options: GptqOptions): Uint32Array {
  const columns = diagonal.length;
  const { actOrder = false, order } = options;
  if (order && actOrder) throw new TypeError("Cannot combine an explicit order with actOrder: choose one");
  if (
    order && (order.length !== columns || new Set(order).size !== columns || Math.max(...order) >= columns)
  ) {
    throw new RangeError(`Cannot round in this order: it must be a permutation of ${columns} columns`);
  }
  const all = order ?? Uint32Array.from({ length: columns }, (_, c) => c);
  const sorted = actOrder ? all.slice().sort((a, b) => diagonal[b] - diagonal[a] || a - b) : all;
  const isOutlier = new Uint8Array(columns);
  for (const c of outliers) isOutlier[c] = 1;
  const outliersLast = sorted.filter((c) => isOutlier[c]);
  return Uint32Array.from([...sorted.filter((c) => !isOutlier[c]), ...outliersLast]);
}

/** Rows and columns of a square matrix in another order, in float64. */
function permutedHessian(hessian: Matrix, order: Uint32Array): Matrix64 {
  const n = order.length, result = createMatrix64(n, n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) result.data[i * n + j] = hessian.data[order[i] * n + order[j]];
  }
  return result;
}

function checkShapes(weight: Matrix, hessian: Matrix, blockSize: number, groupSize: number): void {
  if (hessian.rows !== weight.cols || hessian.cols !== weight.cols) {
    throw new RangeError(
      `Cannot run GPTQ on [${weight.rows}, ${weight.cols}] weights with a [${hessian.rows}, ${hessian.cols}] Hessian: ` +
        `it must be [${weight.cols}, ${weight.cols}]`,
    );
  }
  if (!(blockSize >= 1) || !(groupSize >= 1)) throw new RangeError("Block and group size must be positive");
  if (!weight.data.every(Number.isFinite)) {
    throw new RangeError("Cannot run GPTQ on weights that are NaN or infinite");
  }
}

/**
 * Rounds the weights of a linear layer so that its output error stays small.
 *
 * Grids are fitted in float32; the compensation runs in float64. A column whose diagonal in the Hessian is 0 was never
 * active: its weights become 0, as in the authors' code.
 *
 * @param weight `[outputs, inputs]`. Not changed.
 * @param options Hessian, grid and the variants.
 * @returns Codes, grids, dequantized weights and loss.
 * @throws {RangeError} If shapes do not fit, or weights or Hessian are not finite.
 *
 * @example Usage
 * ```ts
 * import { int4 } from "@quik/quant/formats";
 * import { createMatrix, gptq, hessianOf } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const weight = createMatrix(1, 2, Float32Array.of(0.7, 0.26));
 * const hessian = hessianOf(createMatrix(2, 2, Float32Array.of(1, 0, 0, 1)));
 * const result = gptq(weight, { hessian, format: int4 });
 * assertEquals(result.codes, Uint8Array.of(7, 3)); // independent inputs: plain rounding
 * ```
 */
export function gptq(weight: Matrix, options: GptqOptions): GptqResult {
  const grid = gridOf(options);
  const { hessian, blockSize = 128, groupSize = weight.cols, percDamp } = options;
  checkShapes(weight, hessian, blockSize, groupSize);
  const { rows, cols } = weight;
  if (options.safeguard && options.sparsity) {
    throw new TypeError("Cannot compare pruned rows with plain rounding: drop the safeguard or the sparsity");
  }
  const outliers = options.outliers ?? new Uint32Array(0);
  const base = baseColumns(cols, outliers);
  const diagonal = Float64Array.from({ length: cols }, (_, c) => hessian.data[c * cols + c]);
  const order = columnOrder(diagonal, outliers, options);
  const plan = planGroups(order, base, groupSize, options.staticGroups ?? false);

  const permuted = permutedHessian(hessian, order);
  const dead = order.map((c) => diagonal[c] === 0 ? 1 : 0);
  for (let k = 0; k < cols; k++) if (dead[k]) permuted.data[k * cols + k] = 1;
  const { factor, damping } = dampedInverseFactor(permuted, { percDamp });

  const grids = plan.static ? fitStaticGroups(weight, { grid, plan, diagonal, base }) : [];
  const work = new Float64Array(rows * cols);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < cols; k++) work[r * cols + k] = dead[k] ? 0 : weight.data[r * cols + order[k]];
  }
  const swept = sweepColumns(work, {
    rows,
    columns: cols,
    base: base.length,
    factor: factor.data,
    grid,
    grids,
    plan,
    importance: Float64Array.from(order, (c) => diagonal[c]),
    blockSize,
    sparsity: options.sparsity,
  });

  const codes = new Uint8Array(rows * cols);
  const dequantized = createMatrix(rows, cols);
  const pruned = swept.pruned && new Uint8Array(rows * cols);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < cols; k++) {
      const from = r * cols + k, to = r * cols + order[k];
      codes[to] = swept.codes[from];
      dequantized.data[to] = work[from];
      if (pruned) pruned[to] = swept.pruned![from];
    }
  }
  if (options.safeguard) {
    const { groups, gIdx } = plan;
    const result = { codes, rounded: dequantized, loss: swept.loss };
    keepBetterRows({ weight, hessian, damping, grids, groups, gIdx, base, ...result });
  }
  return {
    codes,
    grids,
    scales: Float32Array.from(grids, (fitted) => fitted.scale),
    zeros: Float32Array.from(grids, (fitted) => fitted.zero),
    groups: plan.groups,
    gIdx: plan.gIdx,
    weight: dequantized,
    ...(pruned ? { pruned } : {}),
    loss: swept.loss,
    damping,
  };
}
