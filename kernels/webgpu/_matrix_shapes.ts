// The tile shapes that the products on subgroup matrices offer, and which of them suits a result of given size.
import { DECODE_ROWS } from "./_decode.ts";
import type { MatrixShape } from "./_matrix_tile.ts";
import { matrixTile } from "./_matrix_tile.ts";

/** A tile shape and the name of the variant that it makes. */
export type NamedMatrixShape = readonly [name: string, shape: MatrixShape];

const AHEAD = { ahead: true, inFlight: 1, ordered: false } as const;
const ORDERED = { ahead: true, inFlight: 2, ordered: true } as const;
const BEHIND = { ahead: false, inFlight: 2, ordered: false } as const;

const WIDE: NamedMatrixShape = ["matrix_128x256", { matrices: [4, 4], subgroups: [2, 4], ...AHEAD }];
const TALL: NamedMatrixShape = ["matrix_256x128", { matrices: [4, 4], subgroups: [4, 2], ...AHEAD }];
const SQUARE: NamedMatrixShape = ["matrix_128x128", { matrices: [4, 4], subgroups: [2, 2], ...BEHIND }];
const SMALL: NamedMatrixShape = ["matrix_64x64", { matrices: [2, 2], subgroups: [2, 2], ...AHEAD }];
const WIDE_ORDERED: NamedMatrixShape = ["matrix_128x256_ordered", { ...WIDE[1], ...ORDERED }];
const TALL_ORDERED: NamedMatrixShape = ["matrix_256x128_ordered", { ...TALL[1], ...ORDERED }];

/** For packed codes on both sides, and QUIK's product of any: the best measured one first. Few bytes are read, so that large
 * tiles keep up. */
export const MATRIX_SHAPES: readonly NamedMatrixShape[] = [WIDE, TALL, SQUARE, SMALL];

/** For operands that are multiplied as they lie: twice as many bytes, and nothing to compute while they are on their way. */
export const WHOLE_MATRIX_SHAPES: readonly NamedMatrixShape[] = [TALL_ORDERED, WIDE_ORDERED, SQUARE, SMALL];

/** For packed codes on one side: two workgroups on a processor hide each other's reading. */
export const MIXED_MATRIX_SHAPES: readonly NamedMatrixShape[] = [SQUARE, WIDE, TALL, SMALL];

/** For weights that are computed on their way in: a tall tile computes each for twice as many rows. */
export const TALL_MATRIX_SHAPES: readonly NamedMatrixShape[] = [TALL, WIDE, SQUARE, SMALL];

/** For results of so few tiles that several workgroups divide k: low ones first. */
export const SPLIT_MATRIX_SHAPES: readonly NamedMatrixShape[] = [
  ["matrix_32x128_split", { matrices: [2, 2], subgroups: [1, 4], ...AHEAD }],
  ["matrix_64x64_split", SMALL[1]],
];

/** Fewest rows for which subgroup matrices pay beside decode kernels: one more than these take at once. */
export const FEWEST_ROWS = DECODE_ROWS + 1;

/** Whether a result gives enough tiles of this shape to occupy a large device. */
export function matrixSuits(shape: MatrixShape, rows: number, columns: number): boolean {
  const tile = matrixTile(shape);
  const tiles = Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns);
  return rows >= FEWEST_ROWS && (tile.rows <= 64 || (rows > tile.rows / 2 && tiles >= 128));
}
