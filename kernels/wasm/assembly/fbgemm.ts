// FBGEMM's two 8-bit products: the static affine pipeline with its offsets, and the product whose large weights are kept
// apart so that seven bits are enough for the rest.
import { COLUMN_STEP, MR, NR, ROW_STEP } from "./micro";
import { FLOAT32, loadTail, storeLanes } from "./simd";
import { packWeight, stepsOf, strideOf, tileOfSums, WEIGHT7, WEIGHT8 } from "./quik";

/**
 * Quantizes row tiles `begin..end` of x straight into row panels, as `q - 128` so that bytes are signed, and writes the sum
 * of each row: FBGEMM's fused quantize-and-pack with row offsets.
 */
export function quantize_pack(
  begin: i32, end: i32, _scratch: usize,
  x: usize, rows: i32, inner: i32, width: i32, scale: f32, zero: f32, panels: usize, rowSums: usize,
): void {
  const steps = stepsOf(inner);
  for (let t = begin; t < end; t++) {
    for (let r = 0; r < width; r++) {
      const row = t * width + r;
      const dst = panels + 16 * (t * steps * width + r);
      if (row < rows) store<i32>(rowSums + 4 * row, quantizeRow(dst, x + 4 * row * inner, inner, 16 * width, scale, zero));
      else for (let i = 0; i < steps; i++) v128.store(dst + 16 * width * i, i32x4.splat(0));
    }
  }
}

function quantizeRow(dst: usize, src: usize, inner: i32, step: i32, scale: f32, zero: f32): i32 {
  const scales = f32x4.splat(scale), zeros = f32x4.splat(zero);
  let sums = i32x4.splat(0);
  for (let k = 0; k < 16 * stepsOf(inner); k += 16) {
    const bytes = i8x16.narrow_i16x8_s(
      i16x8.narrow_i32x4_s(signed4(src, k, inner, scales, zeros), signed4(src, k + 4, inner, scales, zeros)),
      i16x8.narrow_i32x4_s(signed4(src, k + 8, inner, scales, zeros), signed4(src, k + 12, inner, scales, zeros)),
    );
    sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(bytes)));
    v128.store(dst, bytes);
    dst += step;
  }
  return i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3);
}

/** `q - 128` of four values; 0 past the end of the row. */
// @ts-ignore: decorator
@inline
function signed4(src: usize, k: i32, inner: i32, scale: v128, zero: v128): v128 {
  if (k >= inner) return i32x4.splat(0);
  const v = k + 4 <= inner ? v128.load(src + 4 * k) : loadTail(src + 4 * k, inner - k, FLOAT32);
  const q = i32x4.sub(levels(v, scale, zero), i32x4.splat(128));
  if (k + 4 <= inner) return q;
  return v128.and(q, i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(inner - k)));
}

/** clamp(round(x / scale) + zero, 0, 255). */
// @ts-ignore: decorator
@inline
function levels(x: v128, scale: v128, zero: v128): v128 {
  const level = f32x4.add(f32x4.nearest(f32x4.div(x, scale)), zero);
  return i32x4.trunc_sat_f32x4_s(f32x4.pmax(f32x4.pmin(level, f32x4.splat(255)), f32x4.splat(0)));
}

/**
 * Column tiles `begin..end` of the affine pipeline. With S the sum of a row of `q - 128` and C that of a row of weights,
 * `acc = dot - S * (128 + weightZero) + (128 - inputZero) * (C - inner * weightZero)`, dot being of `q - 128` and
 * weight + 128. An `outputScale` of 0 asks for floats.
 */
export function affine_linear(
  begin: i32, end: i32, scratch: usize,
  panels: usize, rowSums: usize, weight: usize, weightScale: usize, weightZero: usize, columnOffsets: usize, bias: usize,
  y: usize, rows: i32, columns: i32, inner: i32, weightMode: i32,
  inputScale: f32, inputZero: i32, outputScale: f32, outputZero: f32,
): void {
  const steps = stepsOf(inner);
  const stride = strideOf(inner, weightMode);
  const packed = scratch + 128;
  const outputStride = (columns + 15) & ~15;
  for (let j = begin; j < end; j++) {
    const column = j * NR;
    const valid = min(NR, columns - column);
    if (rows > 1) packWeight(packed, weight, column, columns, stride, steps, weightMode);
    const zeros = loadTail(weightZero + 4 * column, valid, FLOAT32);
    const centered = i32x4.sub(loadTail(columnOffsets + 4 * column, valid, FLOAT32), i32x4.mul(zeros, i32x4.splat(inner)));
    const constants = i32x4.mul(centered, i32x4.splat(128 - inputZero));
    const factors = i32x4.add(zeros, i32x4.splat(128));
    const multipliers = f32x4.mul(loadTail(weightScale + 4 * column, valid, FLOAT32), f32x4.splat(inputScale));
    const shift = bias ? loadTail(bias + 4 * column, valid, FLOAT32) : f32x4.splat(0);
    for (let row = 0; row < rows; row += MR) {
      tileOfSums(panels, packed, weight, row, rows, column, columns, stride, steps, weightMode, scratch);
      for (let r = 0; r < min(MR, rows - row); r++) {
        const offset = i32x4.mul(i32x4.splat(load<i32>(rowSums + 4 * (row + r))), factors);
        const acc = i32x4.add(i32x4.sub(v128.load(scratch + 16 * r), offset), constants);
        let real = f32x4.mul(f32x4.convert_i32x4_s(acc), multipliers);
        if (bias) real = f32x4.add(real, shift);
        if (outputScale == 0) storeLanes(y + 4 * ((row + r) * columns + column), real, valid);
        else {
          const at = y + (row + r) * outputStride;
          storeBytes(at + column, levels(real, f32x4.splat(outputScale), f32x4.splat(outputZero)), valid);
          if (column + NR >= columns) memory.fill(at + columns, 0, outputStride - columns);
        }
      }
    }
  }
}

function storeBytes(dst: usize, q: v128, count: i32): void {
  const words = i16x8.narrow_i32x4_s(q, q);
  const bytes = i32x4.extract_lane(i8x16.narrow_i16x8_u(words, words), 0);
  if (count == 4) store<i32>(dst, bytes);
  else for (let i = 0; i < count; i++) store<u8>(dst + i, bytes >> (8 * i));
}

/** Writes the transpose of int8 codes `[rows, inner]` for the positions `begin..end`: `padded` bytes each, rows first. */
export function transpose_codes(
  begin: i32, end: i32, _scratch: usize, codes: usize, rows: i32, inner: i32, padded: i32, transposed: usize,
): void {
  const stride = strideOf(inner, WEIGHT8);
  for (let k = begin; k < end; k++) {
    const dst = transposed + k * padded;
    for (let row = 0; row < rows; row++) store<u8>(dst + row, load<u8>(codes + stride * row + k));
    memory.fill(dst + rows, 0, padded - rows);
  }
}

/**
 * Column tiles `begin..end` of the product with seven-bit weights and their remainder. `transposed` holds the activation
 * codes as `transpose_codes` writes them: each remainder multiplies one of its rows. Scratch: the packed tile, then
 * `padded` int32 sums for each of the four columns.
 */
export function outlier_matmul(
  begin: i32, end: i32, scratch: usize,
  panels: usize, rowSums: usize, transposed: usize, weight: usize, starts: usize, indices: usize, values: usize, y: usize,
  rows: i32, columns: i32, inner: i32, padded: i32,
): void {
  const steps = stepsOf(inner);
  const stride = strideOf(inner, WEIGHT7);
  const packed = scratch + 128;
  const sums = packed + steps * COLUMN_STEP;
  for (let j = begin; j < end; j++) {
    const column = j * NR;
    const valid = min(NR, columns - column);
    if (rows > 1) packWeight(packed, weight, column, columns, stride, steps, WEIGHT7);
    memory.fill(sums, 0, 4 * NR * padded);
    for (let c = 0; c < valid; c++) {
      const last = load<i32>(starts + 4 * (column + c), 4);
      for (let i = load<i32>(starts + 4 * (column + c)); i < last; i++) {
        addScaled(sums + 4 * c * padded, transposed + padded * load<i32>(indices + 4 * i), load<i32>(values + 4 * i), padded);
      }
    }
    for (let row = 0; row < rows; row += MR) {
      tileOfSums(panels, packed, weight, row, rows, column, columns, stride, steps, WEIGHT7, scratch);
      for (let r = 0; r < min(MR, rows - row); r++) {
        const correction = i32x4.splat(64 * load<i32>(rowSums + 4 * (row + r)));
        const total = i32x4.add(i32x4.sub(v128.load(scratch + 16 * r), correction), remainders(sums + 4 * (row + r), 4 * padded));
        storeLanes(y + 4 * ((row + r) * columns + column), total, valid);
      }
    }
  }
}

/** One int32 of each of four columns that lie `step` bytes apart. */
// @ts-ignore: decorator
@inline
function remainders(sums: usize, step: usize): v128 {
  let v = v128.load32_zero(sums);
  v = v128.load_lane<i32>(sums + step, v, 1);
  v = v128.load_lane<i32>(sums + 2 * step, v, 2);
  return v128.load_lane<i32>(sums + 3 * step, v, 3);
}

/** `sums[i] += value * codes[i]` for a multiple of 16 codes. A code times a remainder fits 16 bits. */
function addScaled(sums: usize, codes: usize, value: i32, count: i32): void {
  const factor = i16x8.splat(<i16> value);
  for (let i = 0; i < count; i += 8) {
    const product = i16x8.mul(v128.load_ext<i8>(codes + i), factor);
    v128.store(sums, i32x4.add(v128.load(sums), i32x4.extend_low_i16x8_s(product)));
    v128.store(sums, i32x4.add(v128.load(sums, 16), i32x4.extend_high_i16x8_s(product)), 16);
    sums += 32;
  }
}
