// Transposition of small units, tile by tile so that both sides stay in the cache.

const TILE = 32;

/** `[rows, cols]` to `[cols, rows]`, for bytes or words. */
export function transposeUnits<T extends Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>(
  source: T,
  rows: number,
  cols: number,
  target: T,
): T {
  for (let rowStart = 0; rowStart < rows; rowStart += TILE) {
    const rowEnd = Math.min(rowStart + TILE, rows);
    for (let colStart = 0; colStart < cols; colStart += TILE) {
      const colEnd = Math.min(colStart + TILE, cols);
      for (let row = rowStart; row < rowEnd; row++) {
        for (let col = colStart; col < colEnd; col++) target[col * rows + row] = source[row * cols + col];
      }
    }
  }
  return target;
}
