// Which elements share a scale: one mechanism, a block shape that tiles the matrix.

/** A tiling of a matrix: every block has one scale. `Infinity` means the whole extent. */
export interface Granularity {
  /** The strategy's name, as in compressed-tensors: tensor, channel, token, group or block. */
  readonly name: string;
  /** Rows of a block. */
  readonly blockRows: number;
  /** Columns of a block. */
  readonly blockCols: number;
}

/** A granularity laid over a matrix of a shape. The last blocks of a row or column may be smaller than the rest. */
export interface BlockGrid {
  /** Rows of the matrix. */
  readonly rows: number;
  /** Columns of the matrix. */
  readonly cols: number;
  /** Rows of a full block, at most `rows`. */
  readonly blockRows: number;
  /** Columns of a full block, at most `cols`. */
  readonly blockCols: number;
  /** Blocks from top to bottom. */
  readonly gridRows: number;
  /** Blocks from left to right. */
  readonly gridCols: number;
}

/** One block of a grid. */
export interface BlockPlace {
  /** Index of its scale: `gridRow * gridCols + gridCol`. */
  readonly index: number;
  /** First row. */
  readonly row: number;
  /** First column. */
  readonly col: number;
  /** Rows it has, fewer than `blockRows` at the bottom edge. */
  readonly rows: number;
  /** Columns it has, fewer than `blockCols` at the right edge. */
  readonly cols: number;
}

/** One scale for the whole matrix. */
export function perTensor(): Granularity {
  return { name: "tensor", blockRows: Infinity, blockCols: Infinity };
}

/** One scale per row of a weight, that is, per output channel. */
export function perChannel(): Granularity {
  return { name: "channel", blockRows: 1, blockCols: Infinity };
}

/** One scale per row of activations. */
export function perToken(): Granularity {
  return { name: "token", blockRows: 1, blockCols: Infinity };
}

/**
 * One scale per `size` neighboring columns of a row; the last group of a row may be smaller.
 *
 * @param size Columns per group.
 * @returns The granularity.
 * @throws {RangeError} If the size is not a positive integer.
 */
export function perGroup(size: number): Granularity {
  checkExtent(size, "groups");
  return { name: "group", blockRows: 1, blockCols: size };
}

/**
 * One scale per block of `rows` by `cols`; `Infinity` takes the whole extent.
 *
 * @param rows Rows per block.
 * @param cols Columns per block.
 * @returns The granularity.
 * @throws {RangeError} If an extent is neither a positive integer nor `Infinity`.
 */
export function perBlock(rows: number, cols: number): Granularity {
  checkExtent(rows, "block rows");
  checkExtent(cols, "block columns");
  return { name: "block", blockRows: rows, blockCols: cols };
}

function checkExtent(extent: number, what: string): void {
  if (extent !== Infinity && (!Number.isInteger(extent) || extent < 1)) {
    throw new RangeError(
      `Cannot share scales over ${what} of ${extent}: the size must be a positive integer`,
    );
  }
}

/**
 * Lays a granularity over a matrix.
 *
 * @param granularity The granularity.
 * @param shape The matrix, or any object with its `rows` and `cols`.
 * @returns The grid of blocks.
 */
export function gridOf(
  granularity: Granularity,
  shape: { readonly rows: number; readonly cols: number },
): BlockGrid {
  const { rows, cols } = shape;
  const blockRows = Math.max(1, Math.min(granularity.blockRows, rows));
  const blockCols = Math.max(1, Math.min(granularity.blockCols, cols));
  return {
    rows,
    cols,
    blockRows,
    blockCols,
    gridRows: Math.ceil(rows / blockRows),
    gridCols: Math.ceil(cols / blockCols),
  };
}

/**
 * The blocks of a grid, row after row.
 *
 * @param grid The grid.
 * @returns Each block's place.
 */
export function* blocksOf(grid: BlockGrid): Generator<BlockPlace> {
  let index = 0;
  for (let row = 0; row < grid.rows; row += grid.blockRows) {
    const rows = Math.min(grid.blockRows, grid.rows - row);
    for (let col = 0; col < grid.cols; col += grid.blockCols) {
      yield { index: index++, row, col, rows, cols: Math.min(grid.blockCols, grid.cols - col) };
    }
  }
}
