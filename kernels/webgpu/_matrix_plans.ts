// How products on subgroup matrices cover a result: a tile shape, and whether several workgroups divide k of some tiles.
import { matrixSuits, type NamedMatrixShape } from "./_matrix_shapes.ts";
import { dividedPortions, type Portion, type PortionedResult, tailPortions } from "./_matrix_split.ts";
import { type MatrixShape, matrixTile } from "./_matrix_tile.ts";

/** One way to cover a result, and so one variant of an op. */
export interface MatrixPlan {
  /** Name of the variant. */
  readonly name: string;
  readonly shape: MatrixShape;
  /** The passes, given the blocks of k. */
  portions(result: PortionedResult, blocks: number): readonly Portion[];
  /** Whether it is the one to take, if it comes first. */
  suits(result: PortionedResult, blocks: number): boolean;
}

const WHOLE: readonly Portion[] = [{}];

/** A workgroup for every tile. */
export function wholePlan([name, shape]: NamedMatrixShape): MatrixPlan {
  return {
    name,
    shape,
    portions: () => WHOLE,
    suits: ({ rows, columns }) => matrixSuits(shape, rows, columns),
  };
}

/**
 * Several workgroups for every tile, where tiles are too few. It suits if the tile is the lowest that holds all rows, or has 64.
 *
 * @param named The tile.
 * @param fewestRows Rows from which on it is faster than decode kernels.
 * @returns The plan.
 */
export function dividedPlan([name, shape]: NamedMatrixShape, fewestRows: number): MatrixPlan {
  const { rows } = matrixTile(shape);
  return {
    name,
    shape,
    portions: (result, blocks) => dividedPortions(shape, result, blocks) ?? WHOLE,
    suits: (result, blocks) =>
      result.rows >= fewestRows && (result.rows <= rows || rows >= 64) &&
      dividedPortions(shape, result, blocks) !== undefined,
  };
}

/** Several workgroups for each of the last tiles, where few would be left for a last turn of the device's `processors`. */
export function tailPlan([name, shape]: NamedMatrixShape, processors?: number): MatrixPlan {
  const portions = (result: PortionedResult, blocks: number) =>
    tailPortions(shape, result, blocks, processors);
  return {
    name: `${name}_tail`,
    shape,
    portions: (result, blocks) => portions(result, blocks) ?? WHOLE,
    suits: (result, blocks) =>
      matrixSuits(shape, result.rows, result.columns) && portions(result, blocks) !== undefined,
  };
}
