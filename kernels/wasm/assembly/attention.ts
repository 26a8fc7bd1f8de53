// Causal grouped-query attention: both products run on the tile of `micro.ts`, three query rows at a time.
// Keys and transposed values are packed into column panels once per KV head and shared by all query rows.
import { exp4 } from "./math";
import { COLUMN_STEP, MR, NR, ROW_STEP, tileF32 } from "./micro";
import { packTile, packTransposed } from "./panels";
import { FLOAT32, maxf, storeLanes, sumf } from "./simd";

/** Positions that one unit of `attention_pack` handles. */
const PACK_POSITIONS: i32 = 64;

/** Bytes of the key panels (and of the value panels) of one KV head. */
function keyBytes(count: i32, headSize: i32): usize {
  return ((count + 3) >> 2) * ((headSize + 3) >> 2) * COLUMN_STEP;
}
function valueBytes(count: i32, headSize: i32): usize {
  return ((headSize + 3) >> 2) * ((count + 3) >> 2) * COLUMN_STEP;
}

/** Packs keys and values of the cache positions `first..first + count`; a unit is one KV head and 64 positions. */
export function attention_pack(
  begin: i32, end: i32, _scratch: usize,
  keys: usize, values: usize, keyPanels: usize, valuePanels: usize, first: i32, count: i32, kvHeads: i32, headSize: i32,
): void {
  const stride = <usize> 4 * kvHeads * headSize;
  const blocks = (count + PACK_POSITIONS - 1) / PACK_POSITIONS;
  const keySteps = (headSize + 3) >> 2;
  const valueSteps = (count + 3) >> 2;
  for (let unit = begin; unit < end; unit++) {
    const head = unit / blocks;
    const from = (unit % blocks) * PACK_POSITIONS;
    const to = min(from + PACK_POSITIONS, count);
    const source = stride * (first + from) + 4 * head * headSize;
    const keyDst = keyPanels + keyBytes(count, headSize) * head + (from >> 2) * keySteps * COLUMN_STEP;
    for (let p = from; p < to; p += NR) {
      packTile(keyDst + ((p - from) >> 2) * keySteps * COLUMN_STEP, keys + source + stride * (p - from), stride, count - p, NR, headSize, FLOAT32);
    }
    const valueDst = valuePanels + valueBytes(count, headSize) * head + (from >> 2) * COLUMN_STEP;
    for (let d = 0; d < headSize; d += NR) {
      packTransposed(valueDst + (d >> 2) * valueSteps * COLUMN_STEP, values + source + 4 * d, stride, headSize - d, NR, to - from);
    }
  }
}

export function attention_scratch(count: i32, headSize: i32): i32 {
  return 64 + ((headSize + 3) >> 2) * ROW_STEP + ((count + 3) >> 2) * ROW_STEP;
}

/** Attends; a unit is one query head and one tile of three rows. The panels start at cache position `start`. */
export function attention(
  begin: i32, end: i32, scratch: usize,
  q: usize, keyPanels: usize, valuePanels: usize, positions: usize, y: usize,
  rows: i32, heads: i32, kvHeads: i32, headSize: i32, window: i32, start: i32, count: i32,
): void {
  const tile = scratch;
  const query = scratch + 64;
  const keySteps = (headSize + 3) >> 2;
  const valueSteps = (count + 3) >> 2;
  const scores = query + keySteps * ROW_STEP;
  const root: f32 = 1 / sqrt(<f32> headSize);
  for (let unit = begin; unit < end; unit++) {
    const head = unit % heads;
    const row = (unit / heads) * MR;
    const valid = min(MR, rows - row);
    const kvHead = head * kvHeads / heads;
    const keysOf = keyPanels + keyBytes(count, headSize) * kvHead;
    const valuesOf = valuePanels + valueBytes(count, headSize) * kvHead;
    packTile(query, q + 4 * (row * heads + head) * headSize, 4 * heads * headSize, valid, MR, headSize, FLOAT32);
    let from = count;
    let to = 0;
    for (let r = 0; r < valid; r++) {
      const last = load<i32>(positions + 4 * (row + r)) - start;
      to = max(to, last + 1);
      from = min(from, window > 0 ? max(0, last - window + 1) : 0);
    }
    const firstTile = from >> 2;
    const tiles = ((to + 3) >> 2) - firstTile;
    for (let t = 0; t < tiles; t++) {
      tileF32(query, keysOf + (firstTile + t) * keySteps * COLUMN_STEP, keySteps, scores + t * ROW_STEP);
    }
    for (let r = 0; r < MR; r++) {
      const last = load<i32>(positions + 4 * (row + min(r, valid - 1))) - start;
      const first = window > 0 ? max(0, last - window + 1) : 0;
      const total = softmax(scores + 16 * r, tiles, first - 4 * firstTile, last - 4 * firstTile, root);
      store<f32>(tile + 48 + 4 * r, 1 / total);
    }
    for (let d = 0; d < headSize; d += NR) {
      tileF32(scores, valuesOf + ((d >> 2) * valueSteps + firstTile) * COLUMN_STEP, tiles, tile);
      for (let r = 0; r < valid; r++) {
        const v = f32x4.mul(v128.load(tile + 16 * r), v128.load32_splat(tile + 48 + 4 * r));
        storeLanes(y + 4 * (((row + r) * heads + head) * headSize + d), v, headSize - d);
      }
    }
  }
}

/** exp(root * (score - highest)) in place over the lanes `first..last`, zero elsewhere; returns the sum. */
function softmax(scores: usize, tiles: i32, first: i32, last: i32, root: f32): f32 {
  const lanes = i32x4(0, 1, 2, 3);
  let highest = f32x4.splat(-Infinity);
  for (let t = 0; t < tiles; t++) {
    const at = i32x4.add(lanes, i32x4.splat(4 * t));
    const inside = v128.and(i32x4.ge_s(at, i32x4.splat(first)), i32x4.le_s(at, i32x4.splat(last)));
    const v = v128.bitselect(v128.load(scores + ROW_STEP * t), f32x4.splat(-Infinity), inside);
    v128.store(scores + ROW_STEP * t, v);
    highest = f32x4.max(highest, v);
  }
  const top = f32x4.splat(maxf(highest));
  const scale = f32x4.splat(root);
  let total = f32x4.splat(0);
  for (let t = 0; t < tiles; t++) {
    const v = v128.load(scores + ROW_STEP * t);
    const weight = v128.and(exp4(f32x4.mul(f32x4.sub(v, top), scale)), f32x4.gt(v, f32x4.splat(-Infinity)));
    v128.store(scores + ROW_STEP * t, weight);
    total = f32x4.add(total, weight);
  }
  return sumf(total);
}
