// Causal grouped-query attention, three query rows at a time. Keys and values are packed into column panels once per
// KV head and shared by all query rows: keys 16 positions to a step of one dimension, values 4 dimensions to a step of
// 4 positions, so that the scores of the first product are, as they are stored, the row panel of the second.
import { exp4 } from "./math";
import { COLUMN_STEP, MR, NR, ROW_STEP, tileF32, tileWide } from "./micro";
import { packTransposed } from "./panels";
import { maxf, storeLanes, sumf } from "./simd";

/** Positions that one unit of `attention_pack` handles. */
const PACK_POSITIONS: i32 = 64;
/** Positions of a key panel's step. */
const WIDE: i32 = 16;

/** Bytes of the key panels of one KV head. */
function keyBytes(count: i32, headSize: i32): usize {
  return ((count + WIDE - 1) / WIDE) * headSize * (4 * WIDE);
}

/** Bytes of the value panels of one KV head; the positions are rounded up as those of the keys. */
function valueBytes(count: i32, headSize: i32): usize {
  return ((headSize + 3) >> 2) * valueSteps(count) * COLUMN_STEP;
}

function valueSteps(count: i32): i32 {
  return ((count + WIDE - 1) / WIDE) * (WIDE / 4);
}

/** Bytes of the panels of all KV heads, keys first; a multiple of 64. */
export function attention_panels(count: i32, kvHeads: i32, headSize: i32): i32 {
  return kvHeads * (keyBytes(count, headSize) + valueBytes(count, headSize));
}

/** Packs keys and values of the cache positions `first..first + count`; a unit is one KV head and 64 positions. */
export function attention_pack(
  begin: i32, end: i32, _scratch: usize,
  keys: usize, values: usize, panels: usize, first: i32, count: i32, kvHeads: i32, headSize: i32,
): void {
  const stride = <usize> 4 * kvHeads * headSize;
  const blocks = (count + PACK_POSITIONS - 1) / PACK_POSITIONS;
  const valuePanels = panels + kvHeads * keyBytes(count, headSize);
  const steps = valueSteps(count);
  for (let unit = begin; unit < end; unit++) {
    const head = unit / blocks;
    const from = (unit % blocks) * PACK_POSITIONS;
    const valid = min(PACK_POSITIONS, count - from);
    const padded = (valid + WIDE - 1) / WIDE * WIDE;
    const source = stride * (first + from) + 4 * head * headSize;
    const keyDst = panels + keyBytes(count, headSize) * head + from * headSize * 4;
    for (let p = 0; p < padded; p += WIDE) {
      packKeys(keyDst + p * headSize * 4, keys + source + stride * p, stride, valid - p, headSize);
    }
    const valueDst = valuePanels + valueBytes(count, headSize) * head + (from >> 2) * COLUMN_STEP;
    for (let d = 0; d < headSize; d += NR) {
      const dst = valueDst + (d >> 2) * steps * COLUMN_STEP;
      packTransposed(dst, values + source + 4 * d, stride, headSize - d, NR, valid);
      const used = ((valid + 3) >> 2) * COLUMN_STEP;
      memory.fill(dst + used, 0, padded / 4 * COLUMN_STEP - used);
    }
  }
}

/** Transposes 16 positions of one head: 16 floats per dimension, zeros from position `valid` on. */
function packKeys(dst: usize, src: usize, stride: usize, valid: i32, headSize: i32): void {
  for (let p = 0; p < WIDE; p++) {
    const row = src + stride * p;
    for (let d = 0; d < headSize; d++) store<f32>(dst + 4 * (d * WIDE + p), p < valid ? load<f32>(row + 4 * d) : 0);
  }
}

/** Bytes of scratch of `attention`: a result tile, one over the sum of each row, the query panel, the scores. */
export function attention_scratch(count: i32, headSize: i32): i32 {
  return 64 + ((3 * headSize + 3) >> 2) * 16 + valueSteps(count) * ROW_STEP;
}

/** Attends; a unit is one query head and one tile of three rows. The panels start at cache position `start`. */
export function attention(
  begin: i32, end: i32, scratch: usize,
  q: usize, panels: usize, positions: usize, y: usize,
  rows: i32, heads: i32, kvHeads: i32, headSize: i32, window: i32, start: i32, count: i32,
): void {
  const tile = scratch;
  const query = scratch + 64;
  const scores = query + ((3 * headSize + 3) >> 2) * 16;
  const steps = valueSteps(count);
  const valuePanels = panels + kvHeads * keyBytes(count, headSize);
  const root: f32 = 1 / sqrt(<f32> headSize);
  for (let unit = begin; unit < end; unit++) {
    const head = unit % heads;
    const row = (unit / heads) * MR;
    const valid = min(MR, rows - row);
    const kvHead = head * kvHeads / heads;
    const keysOf = panels + keyBytes(count, headSize) * kvHead;
    const valuesOf = valuePanels + valueBytes(count, headSize) * kvHead;
    let from = count;
    let to = 0;
    for (let r = 0; r < MR; r++) {
      // A tile that is not full repeats its last row.
      const at = row + min(r, valid - 1);
      const last = load<i32>(positions + 4 * at) - start;
      to = max(to, last + 1);
      from = min(from, firstSeen(last, window));
      const src = q + 4 * (at * heads + head) * headSize;
      for (let d = 0; d < headSize; d++) store<f32>(query + 4 * (d * MR + r), load<f32>(src + 4 * d) * root);
    }
    from = from / WIDE * WIDE;
    const wides = (to - from + WIDE - 1) / WIDE;
    for (let t = 0; t < wides; t++) {
      tileWide(query, keysOf + (from + t * WIDE) * headSize * 4, headSize, scores + t * 4 * ROW_STEP);
    }
    const tiles = wides * (WIDE / 4);
    for (let r = 0; r < MR; r++) {
      const last = load<i32>(positions + 4 * (row + min(r, valid - 1))) - start;
      const total = softmax(scores + 16 * r, tiles, firstSeen(last, window) - from, last - from);
      store<f32>(tile + 48 + 4 * r, 1 / total);
    }
    for (let d = 0; d < headSize; d += NR) {
      tileF32(scores, valuesOf + ((d >> 2) * steps + (from >> 2)) * COLUMN_STEP, tiles, tile);
      for (let r = 0; r < valid; r++) {
        const v = f32x4.mul(v128.load(tile + 16 * r), v128.load32_splat(tile + 48 + 4 * r));
        storeLanes(y + 4 * (((row + r) * heads + head) * headSize + d), v, headSize - d);
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function firstSeen(last: i32, window: i32): i32 {
  return window > 0 ? max(0, last - window + 1) : 0;
}

/** exp(score - highest) in place over the positions `first..last`, zero elsewhere; returns the sum. */
function softmax(scores: usize, tiles: i32, first: i32, last: i32): f32 {
  const whole = (last + 1) >> 2;
  const begin = (first + 3) >> 2;
  const lanes = i32x4(0, 1, 2, 3);
  for (let t = 0; t < tiles; t++) {
    if (t == begin && whole > begin) t = whole;
    if (t == tiles) break;
    const at = i32x4.add(lanes, i32x4.splat(4 * t));
    const inside = v128.and(i32x4.ge_s(at, i32x4.splat(first)), i32x4.le_s(at, i32x4.splat(last)));
    v128.store(scores + ROW_STEP * t, v128.bitselect(v128.load(scores + ROW_STEP * t), f32x4.splat(-Infinity), inside));
  }
  let highest = f32x4.splat(-Infinity);
  for (let t = 0; t < tiles; t++) highest = f32x4.pmax(highest, v128.load(scores + ROW_STEP * t));
  const top = f32x4.splat(maxf(highest));
  let total = f32x4.splat(0);
  for (let t = 0; t < tiles; t++) {
    const v = v128.load(scores + ROW_STEP * t);
    const weight = v128.and(exp4(f32x4.sub(v, top)), f32x4.gt(v, f32x4.splat(-Infinity)));
    v128.store(scores + ROW_STEP * t, weight);
    total = f32x4.add(total, weight);
  }
  return sumf(total);
}
