// The tile shapes that the products on subgroup matrices offer, the best measured one first.
import type { MatrixShape } from "./_matrix_tile.ts";
import { matrixTile } from "./_matrix_tile.ts";

/** Tile shapes by variant name. */
export const MATRIX_SHAPES: readonly (readonly [name: string, shape: MatrixShape])[] = [
  ["matrix_256x128", { matrices: [4, 4], subgroups: [4, 2], pipelined: true, sets: 1 }],
  ["matrix_128x256", { matrices: [4, 4], subgroups: [2, 4], pipelined: true, sets: 1 }],
  ["matrix_256x128_2", { matrices: [4, 4], subgroups: [4, 2], pipelined: true }],
  ["matrix_128x128", { matrices: [4, 4], subgroups: [2, 2], pipelined: true, sets: 1 }],
  ["matrix_128x128_simple", { matrices: [4, 4], subgroups: [2, 2] }],
  ["matrix_128x128_simple1", { matrices: [4, 4], subgroups: [2, 2], sets: 1 }],
  ["matrix_64x64", { matrices: [2, 2], subgroups: [2, 2], pipelined: true, sets: 1 }],
];

/** Fewest rows for which subgroup matrices pay: below, reading the weight is what takes time. */
const FEWEST_ROWS = 32;

/** Whether a result gives enough tiles of this shape to occupy a large device. */
export function matrixSuits(shape: MatrixShape, rows: number, columns: number): boolean {
  const tile = matrixTile(shape);
  const tiles = Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns);
  return rows >= FEWEST_ROWS && (tile.rows <= 64 || (rows > tile.rows / 2 && tiles >= 128));
}
