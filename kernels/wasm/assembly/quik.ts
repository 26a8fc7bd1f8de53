// The integer product of 4- and 8-bit codes and QUIK's epilogue.
//
// Weight codes become unsigned bytes (code + 8, code + 128 or code + 64) because the native dot product takes a signed and an
// unsigned operand; the sum of the activation codes of a row, times that offset, is subtracted again.
// With 4-bit weights a step of 32 codes is two vectors, the even codes and the odd ones, in weights and activations alike.
import { BYTES_OF_64, constant, FLIP_BYTES, FLIP_NIBBLES, LOW_NIBBLES, ONE_BIT, SEVEN_BITS } from "./constants";
import { COLUMN_STEP, floatSteps, MR, NR, ROW_STEP, tileF32, tileI32 } from "./micro";
import { packTile } from "./panels";
import { dot, FLOAT16, FLOAT32, loadTail, storeLanes, sums4i } from "./simd";

/** How weight bytes lie in a panel: 4-bit codes; 8-bit codes as bytes, or as seven bits and one bit; codes of 7 bits. */
export const WEIGHT4: i32 = 0;
export const WEIGHT8: i32 = 1;
const WEIGHT8_SPLIT: i32 = 2;
export const WEIGHT7: i32 = 3;

/** Vectors of 16 codes in a padded row: an even number. */
export function stepsOf(inner: i32): i32 {
  return ((inner + 31) >> 5) << 1;
}

/** Packs tiles `begin..end` of `width` rows of activation codes as signed bytes, and writes the sum of each row. */
export function pack_codes(
  begin: i32, end: i32, _scratch: usize,
  codes: usize, rows: i32, inner: i32, bits: i32, weightMode: i32, width: i32, panels: usize, rowSums: usize,
): void {
  const steps = stepsOf(inner);
  const stride = ((inner * bits + 127) >> 7) << 4;
  for (let t = begin; t < end; t++) {
    for (let r = 0; r < width; r++) {
      const row = t * width + r;
      const dst = panels + 16 * (<usize> t * steps * width + r);
      if (row < rows) store<i32>(rowSums + 4 * row, packCodeRow(dst, codes + stride * row, stride, steps, 16 * width, bits, weightMode));
      else for (let i = 0; i < steps; i++) v128.store(dst + 16 * width * i, i32x4.splat(0));
    }
  }
}

function packCodeRow(dst: usize, src: usize, bytes: usize, steps: i32, step: i32, bits: i32, weightMode: i32): i32 {
  const end = src + bytes;
  let sums = i32x4.splat(0);
  for (let i = 0; i < steps; i += 2) {
    let first: v128;
    let second: v128;
    if (bits == 4) {
      const pair = v128.load(src);
      first = i8x16.shr_s(i8x16.shl(pair, 4), 4);
      second = i8x16.shr_s(pair, 4);
      src += 16;
    } else {
      first = v128.load(src);
      second = src + 16 < end ? v128.load(src + 16) : i32x4.splat(0);
      src += 32;
    }
    sums = i32x4.add(sums, sum16(first));
    sums = i32x4.add(sums, sum16(second));
    if (bits == 4 && weightMode != WEIGHT4) {
      const low = v128.shuffle<i8>(first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      second = v128.shuffle<i8>(first, second, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      first = low;
    } else if (bits == 8 && weightMode == WEIGHT4) {
      const even = v128.shuffle<i8>(first, second, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
      second = v128.shuffle<i8>(first, second, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
      first = even;
    }
    v128.store(dst, first);
    v128.store(dst + step, second);
    dst += 2 * step;
  }
  return i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3);
}

// @ts-ignore: decorator
@inline
export function sum16(v: v128): v128 {
  return i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(v));
}

/** Packs four columns of weight codes as unsigned bytes, side by side: four streams hide the latency of memory. */
export function packWeight(dst: usize, weight: usize, column: i32, columns: i32, stride: usize, steps: i32, weightMode: i32): void {
  const last = columns - 1;
  let w0 = weight + stride * column;
  let w1 = weight + stride * min(column + 1, last);
  let w2 = weight + stride * min(column + 2, last);
  let w3 = weight + stride * min(column + 3, last);
  const passBytes = steps * COLUMN_STEP;
  const each = weightMode == WEIGHT4 ? 2 : 1;
  // Codes become unsigned as their top bit is flipped, or 64 is added to those of seven bits.
  const flip = constant(weightMode == WEIGHT4 ? FLIP_NIBBLES : weightMode == WEIGHT7 ? BYTES_OF_64 : FLIP_BYTES);
  const low = constant(LOW_NIBBLES);
  for (let i = 0; i < steps; i += each) {
    if (weightMode == WEIGHT4) {
      unpackNibbles(dst, v128.xor(v128.load(w0), flip), low);
      unpackNibbles(dst + 16, v128.xor(v128.load(w1), flip), low);
      unpackNibbles(dst + 32, v128.xor(v128.load(w2), flip), low);
      unpackNibbles(dst + 48, v128.xor(v128.load(w3), flip), low);
    } else if (weightMode == WEIGHT7) {
      v128.store(dst, i8x16.add(v128.load(w0), flip));
      v128.store(dst, i8x16.add(v128.load(w1), flip), 16);
      v128.store(dst, i8x16.add(v128.load(w2), flip), 32);
      v128.store(dst, i8x16.add(v128.load(w3), flip), 48);
    } else if (weightMode == WEIGHT8) {
      v128.store(dst, v128.xor(v128.load(w0), flip));
      v128.store(dst, v128.xor(v128.load(w1), flip), 16);
      v128.store(dst, v128.xor(v128.load(w2), flip), 32);
      v128.store(dst, v128.xor(v128.load(w3), flip), 48);
    } else {
      splitBytes(dst, passBytes, v128.xor(v128.load(w0), flip));
      splitBytes(dst + 16, passBytes, v128.xor(v128.load(w1), flip));
      splitBytes(dst + 32, passBytes, v128.xor(v128.load(w2), flip));
      splitBytes(dst + 48, passBytes, v128.xor(v128.load(w3), flip));
    }
    w0 += 16;
    w1 += 16;
    w2 += 16;
    w3 += 16;
    dst += each * COLUMN_STEP;
  }
}

/** 32 nibbles: the even ones in this step, the odd ones in the next. */
// @ts-ignore: decorator
@inline
function unpackNibbles(dst: usize, pair: v128, low: v128): void {
  v128.store(dst, v128.and(pair, low));
  v128.store(dst, v128.and(i16x8.shr_u(pair, 4), low), COLUMN_STEP);
}

/** The upper seven bits in the first pass, the lowest bit in the second. */
// @ts-ignore: decorator
@inline
function splitBytes(dst: usize, passBytes: usize, bytes: v128): void {
  v128.store(dst, v128.and(i16x8.shr_u(bytes, 1), constant(SEVEN_BITS)));
  v128.store(dst + passBytes, v128.and(bytes, constant(ONE_BIT)));
}

// @ts-ignore: decorator
@inline
export function offsetOf(weightMode: i32): i32 {
  return weightMode == WEIGHT4 ? 8 : weightMode == WEIGHT7 ? 64 : 128;
}

// @ts-ignore: decorator
@inline
export function passesOf(weightMode: i32): i32 {
  return weightMode == WEIGHT8_SPLIT ? 2 : 1;
}

// @ts-ignore: decorator
@inline
export function strideOf(inner: i32, weightMode: i32): usize {
  return weightMode == WEIGHT4 ? ((inner + 31) >> 5) << 4 : ((inner + 15) >> 4) << 4;
}

/** Column tiles per block: results are stored a cache line at a time, while the line is still held. */
const BLOCK_TILES: i32 = 4;
/** Rows per block, a multiple of those of a tile. */
const BLOCK_ROWS: i32 = 24;

/** Bytes of scratch of the integer products: two result tiles and a block of packed column tiles. */
export function quik_scratch(inner: i32, outliers: i32, weightMode: i32): i32 {
  return 128 + BLOCK_TILES * COLUMN_STEP * (stepsOf(inner) * passesOf(weightMode) + floatSteps(outliers));
}

/**
 * Four int32 sums of one row of activation codes (packed with a width of 1) and four columns of weight codes, read where
 * they lie: for a single token, packing would cost more than the product.
 */
function rowSums4(a: usize, weight: usize, column: i32, columns: i32, stride: usize, steps: i32, weightMode: i32): v128 {
  const last = columns - 1;
  let w0 = weight + stride * column;
  let w1 = weight + stride * min(column + 1, last);
  let w2 = weight + stride * min(column + 2, last);
  let w3 = weight + stride * min(column + 3, last);
  let c0 = i32x4.splat(0), c1 = i32x4.splat(0), c2 = i32x4.splat(0), c3 = i32x4.splat(0);
  const each = weightMode == WEIGHT4 ? 2 : 1;
  // Codes become unsigned as their top bit is flipped, or 64 is added to those of seven bits.
  const flip = constant(weightMode == WEIGHT4 ? FLIP_NIBBLES : weightMode == WEIGHT7 ? BYTES_OF_64 : FLIP_BYTES);
  const low = constant(LOW_NIBBLES);
  for (let i = 0; i < steps; i += each) {
    const a0 = v128.load(a);
    if (weightMode == WEIGHT4) {
      const a1 = v128.load(a, 16);
      c0 = dotNibbles(a0, a1, v128.xor(v128.load(w0), flip), c0, low);
      c1 = dotNibbles(a0, a1, v128.xor(v128.load(w1), flip), c1, low);
      c2 = dotNibbles(a0, a1, v128.xor(v128.load(w2), flip), c2, low);
      c3 = dotNibbles(a0, a1, v128.xor(v128.load(w3), flip), c3, low);
    } else if (weightMode == WEIGHT7) {
      c0 = dot(a0, i8x16.add(v128.load(w0), flip), c0);
      c1 = dot(a0, i8x16.add(v128.load(w1), flip), c1);
      c2 = dot(a0, i8x16.add(v128.load(w2), flip), c2);
      c3 = dot(a0, i8x16.add(v128.load(w3), flip), c3);
    } else if (weightMode == WEIGHT8) {
      c0 = dot(a0, v128.xor(v128.load(w0), flip), c0);
      c1 = dot(a0, v128.xor(v128.load(w1), flip), c1);
      c2 = dot(a0, v128.xor(v128.load(w2), flip), c2);
      c3 = dot(a0, v128.xor(v128.load(w3), flip), c3);
    } else {
      c0 = dotSplit(a0, v128.xor(v128.load(w0), flip), c0);
      c1 = dotSplit(a0, v128.xor(v128.load(w1), flip), c1);
      c2 = dotSplit(a0, v128.xor(v128.load(w2), flip), c2);
      c3 = dotSplit(a0, v128.xor(v128.load(w3), flip), c3);
    }
    a += 16 * each;
    w0 += 16;
    w1 += 16;
    w2 += 16;
    w3 += 16;
  }
  return sums4i(c0, c1, c2, c3);
}

// @ts-ignore: decorator
@inline
function dotNibbles(even: v128, odd: v128, pair: v128, sum: v128, low: v128): v128 {
  sum = dot(even, v128.and(pair, low), sum);
  return dot(odd, v128.and(i16x8.shr_u(pair, 4), low), sum);
}

// @ts-ignore: decorator
@inline
function dotSplit(a: v128, bytes: v128, sum: v128): v128 {
  const upper = dot(a, v128.and(i16x8.shr_u(bytes, 1), constant(SEVEN_BITS)), i32x4.splat(0));
  return dot(a, v128.and(bytes, constant(ONE_BIT)), i32x4.add(sum, i32x4.shl(upper, 1)));
}

/** A column tile of sums for the rows `row..row + 3`; with one row in all, straight from the weight. */
// @ts-ignore: decorator
@inline
export function tileOfSums(
  panels: usize, packed: usize, weight: usize, row: i32, rows: i32, column: i32, columns: i32,
  stride: usize, steps: i32, weightMode: i32, tile: usize,
): void {
  if (rows > 1) tileI32(panels + 16 * row * steps, packed, steps, passesOf(weightMode), tile);
  else if (weightMode == WEIGHT4) v128.store(tile, rowSums4(panels, weight, column, columns, stride, steps, WEIGHT4));
  else v128.store(tile, rowSums4(panels, weight, column, columns, stride, steps, weightMode));
}

/** Exact int32 sums of the column tiles `begin..end`. */
export function integer_matmul(
  begin: i32, end: i32, scratch: usize,
  panels: usize, rowSums: usize, weight: usize, y: usize, rows: i32, columns: i32, inner: i32, weightMode: i32,
): void {
  const steps = stepsOf(inner);
  const stride = strideOf(inner, weightMode);
  const offset = offsetOf(weightMode);
  for (let j = begin; j < end; j++) {
    const column = j * NR;
    if (rows > 1) packWeight(scratch + 128, weight, column, columns, stride, steps, weightMode);
    for (let row = 0; row < rows; row += MR) {
      tileOfSums(panels, scratch + 128, weight, row, rows, column, columns, stride, steps, weightMode, scratch);
      for (let r = 0; r < min(MR, rows - row); r++) {
        const correction = i32x4.splat(offset * load<i32>(rowSums + 4 * (row + r)));
        const sums = i32x4.sub(v128.load(scratch + 16 * r), correction);
        storeLanes(y + 4 * ((row + r) * columns + column), sums, columns - column);
      }
    }
  }
}

/**
 * QUIK's product with its epilogue, column tiles `begin..end`. `outlierPanels` are the outlier activations as packed by
 * `pack_rows`; the rest are the buffers of the spec.
 */
export function quik_linear(
  begin: i32, end: i32, scratch: usize,
  panels: usize, rowSums: usize, qparams: usize, outlierPanels: usize, weight: usize, weightScale: usize, reduced: usize,
  outlierWeight: usize, bias: usize, y: usize,
  rows: i32, columns: i32, inner: i32, outliers: i32, half: i32, weightMode: i32,
): void {
  const steps = stepsOf(inner);
  const stride = strideOf(inner, weightMode);
  const outlierStride = ((outliers + 7) >> 3) << 4;
  const outlierSteps = floatSteps(outliers);
  const offset = offsetOf(weightMode);
  const packedBytes = steps * COLUMN_STEP * passesOf(weightMode);
  const tileBytes = packedBytes + outlierSteps * COLUMN_STEP;
  const packed = scratch + 128;
  for (let block = begin; block < end; block += BLOCK_TILES) {
    const last = min(block + BLOCK_TILES, end);
    for (let j = block; j < last; j++) {
      const dst = packed + tileBytes * (j - block);
      const column = j * NR;
      if (rows > 1) packWeight(dst, weight, column, columns, stride, steps, weightMode);
      packTile(dst + packedBytes, outlierWeight + outlierStride * column, outlierStride, columns - column, NR, outliers, FLOAT16);
    }
    for (let r = 0; r < rows; r += BLOCK_ROWS) {
      for (let j = block; j < last; j++) {
        const column = j * NR;
        const valid = min(NR, columns - column);
        const tile = packed + tileBytes * (j - block);
        const scales = loadTail(weightScale + 4 * column, valid, FLOAT32);
        const sums = loadTail(reduced + 4 * column, valid, FLOAT32);
        const shift = bias ? loadTail(bias + 4 * column, valid, FLOAT32) : f32x4.splat(0);
        for (let row = r; row < min(r + BLOCK_ROWS, rows); row += MR) {
          tileOfSums(panels, tile, weight, row, rows, column, columns, stride, steps, weightMode, scratch);
          if (outliers) tileF32(outlierPanels + 16 * row * outlierSteps, tile + packedBytes, outlierSteps, scratch + 64);
          for (let i = 0; i < min(MR, rows - row); i++) {
            const scale = load<f32>(qparams + 8 * (row + i));
            const zero = load<f32>(qparams + 8 * (row + i), 4) + <f32> half * scale;
            const acc = i32x4.sub(v128.load(scratch + 16 * i), i32x4.splat(offset * load<i32>(rowSums + 4 * (row + i))));
            let v = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(acc), f32x4.splat(scale)), scales);
            v = f32x4.add(v, f32x4.mul(f32x4.splat(zero), sums));
            if (outliers) v = f32x4.add(v, v128.load(scratch + 64 + 16 * i));
            storeLanes(y + 4 * ((row + i) * columns + column), f32x4.add(v, shift), valid);
          }
        }
      }
    }
  }
}
