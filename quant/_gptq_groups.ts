// Which columns of a row share a grid in GPTQ, and grids fitted before the sweep.
import type { FittedGrid, Grid } from "./grid.ts";
import type { Matrix } from "./matrix.ts";

/** Groups of a sweep. */
export interface GroupPlan {
  /** Groups per row. */
  readonly groups: number;
  /** Columns per group; the last may have fewer. */
  readonly groupSize: number;
  /** Whether grids are fitted to the original weights. */
  readonly static: boolean;
  /** Group of each column in natural order; 0 for outliers. */
  readonly gIdx: Uint32Array<ArrayBuffer>;
  /** Group of each position of the sweep. */
  readonly groupAt: Uint32Array<ArrayBuffer>;
}

/** Static groups hold neighbours among the base columns; others hold neighbours in the order of rounding. */
export function planGroups(
  order: Uint32Array,
  base: Uint32Array,
  groupSize: number,
  staticGroups: boolean,
): GroupPlan {
  const groups = Math.ceil(base.length / groupSize);
  const isStatic = staticGroups || groups <= 1;
  const gIdx = new Uint32Array(order.length);
  const sequence = isStatic ? base : order.subarray(0, base.length);
  sequence.forEach((column, position) => gIdx[column] = Math.floor(position / groupSize));
  return { groups, groupSize, static: isStatic, gIdx, groupAt: Uint32Array.from(order, (c) => gIdx[c]) };
}

/** What to fit before a sweep. */
export interface StaticFit {
  readonly grid: Grid;
  readonly plan: GroupPlan;
  /** The Hessian's diagonal in natural order. */
  readonly diagonal: Float64Array;
  /** The columns that are rounded, ascending. */
  readonly base: Uint32Array;
}

/** The grids of all rows and groups, `[rows, groups]`, from the original weights. */
export function fitStaticGroups(
  weight: Matrix,
  { grid, plan, diagonal, base }: StaticFit,
): FittedGrid[] {
  const fitted: FittedGrid[] = [];
  for (let r = 0; r < weight.rows; r++) {
    for (let g = 0; g < plan.groups; g++) {
      const members = base.subarray(g * plan.groupSize, (g + 1) * plan.groupSize);
      const values = Float32Array.from(members, (c) => weight.data[r * weight.cols + c]);
      fitted.push(grid.fit(values, Float64Array.from(members, (c) => diagonal[c])));
    }
  }
  return fitted;
}
