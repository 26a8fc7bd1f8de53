// Float products: y = x * weight^T (+ bias), the weight in any storage type, and x^T x.
import { codebookDot, codebookRow, CodebookWeight, hasNibbleGroups } from "./codebook";
import { COLUMN_STEP, floatSteps, MR, NR, ROW_STEP, tileF32 } from "./micro";
import { packRow, packTile, packTransposed, packZeros } from "./panels";
import { BFLOAT16, CODEBOOK, FLOAT16, FLOAT32, load4, loadTail, madd, storeLanes, sumf, sums4f, typeBytes } from "./simd";

/** Reduction steps of 4 per block: a column tile of 16 KiB stays in the first-level cache. */
const BLOCK_INNER: i32 = 1024;
/** Column tiles per block: 256 KiB of packed weight stay in the second-level cache. */
const BLOCK_TILES: i32 = 16;
/** Bytes of row panels up to which all of them stay in the second-level cache. */
const SMALL_PANELS: i32 = 1 << 19;
/** Row tiles per block. */
const BLOCK_ROW_TILES: i32 = 8;

/**
 * Column tiles `begin..end` of y. `panels` is x as packed by `pack_rows`; scratch holds the tile, one decoded row and
 * a block of packed weight (`dense_scratch` bytes).
 */
export function dense_linear(
  begin: i32, end: i32, scratch: usize,
  panels: usize, weight: usize, bias: usize, y: usize, rows: i32, columns: i32, inner: i32, type: i32,
): void {
  const tile = scratch;
  const decoded = scratch + 64;
  const packed = decoded + 4 * BLOCK_INNER;
  const rowTiles = (rows + MR - 1) / MR;
  const panelBytes = floatSteps(inner) * ROW_STEP;
  // Few rows stay in the second-level cache whole, and each packed tile is used while it is in the first.
  const blockTiles = rowTiles * panelBytes <= SMALL_PANELS ? 1 : BLOCK_TILES;
  for (let block = begin; block < end; block += blockTiles) {
    const last = min(block + blockTiles, end);
    for (let k = 0; k < inner; k += BLOCK_INNER) {
      const count = min(BLOCK_INNER, inner - k);
      const steps = floatSteps(count);
      for (let j = block; j < last; j++) {
        packWeight(packed + (j - block) * steps * COLUMN_STEP, weight, j * NR, columns, inner, k, count, type, decoded);
      }
      for (let r = 0; r < rowTiles; r += BLOCK_ROW_TILES) {
        const rowEnd = min(r + BLOCK_ROW_TILES, rowTiles);
        for (let j = block; j < last; j++) {
          const w = packed + (j - block) * steps * COLUMN_STEP;
          for (let i = r; i < rowEnd; i++) {
            tileF32(panels + panelBytes * i + (k >> 2) * ROW_STEP, w, steps, tile);
            storeTile(tile, y, i * MR, rows, j * NR, columns, bias, k > 0);
          }
        }
      }
    }
  }
}

export function dense_scratch(): i32 {
  return 64 + 4 * BLOCK_INNER + 4 * BLOCK_INNER * NR * BLOCK_TILES;
}

function packWeight(
  dst: usize, weight: usize, column: i32, columns: i32, inner: i32, k: i32, count: i32, type: i32, decoded: usize,
): void {
  if (type != CODEBOOK) {
    const stride = inner * typeBytes(type);
    packTile(dst, weight + column * stride + k * typeBytes(type), stride, columns - column, NR, count, type);
    return;
  }
  for (let c = 0; c < NR; c++) {
    if (column + c < columns) {
      codebookRow(decoded, changetype<CodebookWeight>(weight), column + c, k, count);
      packRow(dst + 16 * c, decoded, count, COLUMN_STEP, FLOAT32);
    } else packZeros(dst + 16 * c, count, COLUMN_STEP);
  }
}

// @ts-ignore: decorator
@inline
function storeTile(
  tile: usize, y: usize, row: i32, rows: i32, column: i32, columns: i32, bias: usize, accumulate: bool,
): void {
  const valid = columns - column;
  const rowEnd = min(rows, row + MR);
  for (; row < rowEnd; row++) {
    const at = y + 4 * (<usize> row * columns + column);
    let v = v128.load(tile);
    if (accumulate) v = f32x4.add(v, valid >= 4 ? v128.load(at) : loadTail(at, valid, FLOAT32));
    else if (bias) v = f32x4.add(v, valid >= 4 ? v128.load(bias + 4 * column) : loadTail(bias + 4 * column, valid, FLOAT32));
    storeLanes(at, v, valid);
    tile += 16;
  }
}

/** Columns `4 * begin..4 * end` of a product with a single row of x. Scratch holds a decoded row of a codebook weight. */
export function dense_row(
  begin: i32, end: i32, scratch: usize,
  x: usize, weight: usize, bias: usize, y: usize, columns: i32, inner: i32, type: i32,
): void {
  for (let t = begin; t < end; t++) {
    const column = t * NR;
    const valid = min(NR, columns - column);
    let sums: v128;
    if (type == CODEBOOK) sums = codebookSums(x, changetype<CodebookWeight>(weight), column, valid, inner, scratch);
    else if (type == FLOAT32) sums = dotRows(x, weight, column, columns, inner, FLOAT32);
    else if (type == FLOAT16) sums = dotRows(x, weight, column, columns, inner, FLOAT16);
    else sums = dotRows(x, weight, column, columns, inner, BFLOAT16);
    if (bias) sums = f32x4.add(sums, loadTail(bias + 4 * column, valid, FLOAT32));
    storeLanes(y + 4 * column, sums, valid);
  }
}

/** The products of x and up to four columns of codes. */
function codebookSums(x: usize, weight: CodebookWeight, column: i32, valid: i32, inner: i32, scratch: usize): v128 {
  const sums = scratch + 4 * inner;
  const direct = hasNibbleGroups(weight, inner);
  for (let c = 0; c < valid; c++) {
    if (direct) store<f32>(sums + 4 * c, codebookDot(x, weight, column + c, inner));
    else {
      codebookRow(scratch, weight, column + c, 0, inner);
      store<f32>(sums + 4 * c, dotRow(x, scratch, inner));
    }
  }
  return loadTail(sums, valid, FLOAT32);
}

// @ts-ignore: decorator
@inline
function madd4(v0: v128, v1: v128, v2: v128, v3: v128, w: usize, sum: v128, type: i32): v128 {
  const step = 4 * typeBytes(type);
  sum = madd(v0, load4(w, type), sum);
  sum = madd(v1, load4(w + step, type), sum);
  sum = madd(v2, load4(w + 2 * step, type), sum);
  return madd(v3, load4(w + 3 * step, type), sum);
}

// @ts-ignore: decorator
@inline
function dotRows(x: usize, weight: usize, column: i32, columns: i32, inner: i32, type: i32): v128 {
  const size = typeBytes(type);
  const last = columns - 1;
  let w0 = weight + column * inner * size;
  let w1 = weight + min(column + 1, last) * inner * size;
  let w2 = weight + min(column + 2, last) * inner * size;
  let w3 = weight + min(column + 3, last) * inner * size;
  let c0 = f32x4.splat(0), c1 = f32x4.splat(0), c2 = f32x4.splat(0), c3 = f32x4.splat(0);
  let k = 0;
  for (; k + 16 <= inner; k += 16) {
    const v0 = v128.load(x), v1 = v128.load(x, 16), v2 = v128.load(x, 32), v3 = v128.load(x, 48);
    c0 = madd4(v0, v1, v2, v3, w0, c0, type);
    c1 = madd4(v0, v1, v2, v3, w1, c1, type);
    c2 = madd4(v0, v1, v2, v3, w2, c2, type);
    c3 = madd4(v0, v1, v2, v3, w3, c3, type);
    x += 64;
    w0 += 16 * size;
    w1 += 16 * size;
    w2 += 16 * size;
    w3 += 16 * size;
  }
  for (; k + 4 <= inner; k += 4) {
    const v = v128.load(x);
    c0 = madd(v, load4(w0, type), c0);
    c1 = madd(v, load4(w1, type), c1);
    c2 = madd(v, load4(w2, type), c2);
    c3 = madd(v, load4(w3, type), c3);
    x += 16;
    w0 += 4 * size;
    w1 += 4 * size;
    w2 += 4 * size;
    w3 += 4 * size;
  }
  if (inner & 3) {
    const v = loadTail(x, inner & 3, FLOAT32);
    c0 = madd(v, loadTail(w0, inner & 3, type), c0);
    c1 = madd(v, loadTail(w1, inner & 3, type), c1);
    c2 = madd(v, loadTail(w2, inner & 3, type), c2);
    c3 = madd(v, loadTail(w3, inner & 3, type), c3);
  }
  return sums4f(c0, c1, c2, c3);
}

function dotRow(x: usize, w: usize, inner: i32): f32 {
  let sum = f32x4.splat(0);
  let k = 0;
  for (; k + 4 <= inner; k += 4) sum = madd(v128.load(x + 4 * k), v128.load(w + 4 * k), sum);
  if (k < inner) sum = madd(loadTail(x + 4 * k, inner - k, FLOAT32), loadTail(w + 4 * k, inner - k, FLOAT32), sum);
  return sumf(sum);
}

/** Packs row tiles `begin..end` of x^T, x being `[rows, columns]`. */
export function pack_transposed_rows(
  begin: i32, end: i32, _scratch: usize, x: usize, rows: i32, columns: i32, panels: usize,
): void {
  const tileBytes = floatSteps(rows) * ROW_STEP;
  for (let t = begin; t < end; t++) {
    packTransposed(panels + tileBytes * t, x + 4 * t * MR, 4 * columns, columns - t * MR, MR, rows);
  }
}

/** Adds x^T x to the column tiles `begin..end` of the upper triangle of `sums`. Scratch holds one packed column tile. */
export function gram_upper(
  begin: i32, end: i32, scratch: usize, x: usize, panels: usize, sums: usize, rows: i32, columns: i32,
): void {
  const steps = floatSteps(rows);
  const packed = scratch + 64;
  for (let j = begin; j < end; j++) {
    packTransposed(packed, x + 4 * j * NR, 4 * columns, columns - j * NR, NR, rows);
    const highest = min(columns, (j + 1) * NR);
    for (let i = 0; i * MR < highest; i++) {
      tileF32(panels + steps * ROW_STEP * i, packed, steps, scratch);
      storeTile(scratch, sums, i * MR, columns, j * NR, columns, 0, true);
    }
  }
}

/** Copies the upper triangle of rows `begin..end` to the lower one. */
export function mirror_upper(begin: i32, end: i32, _scratch: usize, sums: usize, columns: i32): void {
  for (let row = begin; row < end; row++) {
    for (let column = 0; column < row; column++) {
      store<f32>(sums + 4 * (row * columns + column), load<f32>(sums + 4 * (column * columns + row)));
    }
  }
}
