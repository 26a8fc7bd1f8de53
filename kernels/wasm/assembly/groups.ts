// Quantization in groups through any format, back again, and the integer product of group-scaled codes.
import { codebookRow, CodebookWeight } from "./codebook";
import { COLUMN_STEP, MR, NR } from "./micro";
import { offsetOf, packWeight, passesOf, stepsOf, strideOf, sum16, tileOfSums, WEIGHT4 } from "./quik";
import { FLOAT32, loadTail, maxf, storeLanes } from "./simd";

/** Number of ascending thresholds at or below a value. */
export function countAtOrBelow(thresholds: usize, count: i32, value: f32): i32 {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (load<f32>(thresholds + 4 * middle) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Quantizes the rows `begin..end`. */
export function quantize_groups(
  begin: i32, end: i32, _scratch: usize,
  x: usize, thresholds: usize, codeTable: usize, codes: usize, scales: usize,
  columns: i32, groupSize: i32, bits: i32, limit: f32,
): void {
  const groups = (columns + groupSize - 1) / groupSize;
  const stride = ((columns * bits + 127) >> 7) << 4;
  const count = (1 << bits) - 1;
  for (let row = begin; row < end; row++) {
    const src = x + 4 * row * columns;
    const dst = codes + stride * row;
    memory.fill(dst, 0, stride);
    for (let group = 0; group < groups; group++) {
      const first = group * groupSize;
      const last = min(first + groupSize, columns);
      const scale: f32 = max(absmax(src + 4 * first, last - first) / limit, reinterpret<f32>(0x00800000));
      store<f32>(scales + 4 * (row * groups + group), scale);
      for (let k = first; k < last; k++) {
        const code = load<u32>(codeTable + 4 * countAtOrBelow(thresholds, count, load<f32>(src + 4 * k) / scale));
        // A code may straddle two bytes; the last one of a row never does, so nothing behind the row is touched.
        const bit = k * bits;
        const at = dst + (bit >> 3);
        const shifted = code << (bit & 7);
        store<u8>(at, load<u8>(at) | shifted);
        if (shifted > 255) store<u8>(at + 1, load<u8>(at + 1) | (shifted >> 8));
      }
    }
  }
}

function absmax(src: usize, count: i32): f32 {
  let highest = f32x4.splat(0);
  for (let i = 0; i < count; i += 4) {
    highest = f32x4.pmax(highest, f32x4.abs(i + 4 <= count ? v128.load(src + 4 * i) : loadTail(src + 4 * i, count - i, FLOAT32)));
  }
  return maxf(highest);
}

/** Dequantizes the rows `begin..end` of a weight as `codebook.ts` describes it. */
export function dequantize_groups(begin: i32, end: i32, _scratch: usize, weight: usize, y: usize, columns: i32): void {
  for (let row = begin; row < end; row++) {
    codebookRow(y + 4 * row * columns, changetype<CodebookWeight>(weight), row, 0, columns);
  }
}

/** Sums of the packed codes of each group, for the rows of the panels `begin..end` of `width` rows. */
export function group_sums(
  begin: i32, end: i32, _scratch: usize,
  panels: usize, sums: usize, rows: i32, inner: i32, groupSteps: i32, width: i32, weightMode: i32,
): void {
  const steps = stepsOf(inner);
  const groups = (steps + groupSteps - 1) / groupSteps;
  for (let t = begin; t < end; t++) {
    for (let r = 0; r < min(width, rows - t * width); r++) {
      for (let group = 0; group < groups; group++) {
        let sum = i32x4.splat(0);
        for (let i = group * groupSteps; i < min((group + 1) * groupSteps, steps); i++) {
          sum = i32x4.add(sum, sum16(v128.load(panels + 16 * ((t * steps + i) * width + r))));
        }
        const total = i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3);
        store<i32>(sums + 4 * ((t * width + r) * groups + group), total);
      }
    }
  }
}

/** Column tiles `begin..end` of the product of codes with scales per group on both sides; `sums` come from `group_sums`. */
export function grouped_linear(
  begin: i32, end: i32, scratch: usize,
  panels: usize, sums: usize, scales: usize, weight: usize, weightScales: usize, bias: usize, y: usize,
  rows: i32, columns: i32, inner: i32, groupSteps: i32, weightMode: i32,
): void {
  const steps = stepsOf(inner);
  const groups = (steps + groupSteps - 1) / groupSteps;
  const stride = strideOf(inner, weightMode);
  const groupBytes = weightMode == WEIGHT4 ? groupSteps * 8 : groupSteps * 16;
  const packedGroup = groupSteps * COLUMN_STEP * passesOf(weightMode);
  const offset = offsetOf(weightMode);
  const packed = scratch + 128;
  for (let j = begin; j < end; j++) {
    const column = j * NR;
    const valid = min(NR, columns - column);
    for (let group = 0; rows > 1 && group < groups; group++) {
      const count = min(groupSteps, steps - group * groupSteps);
      packWeight(packed + packedGroup * group, weight + groupBytes * group, column, columns, stride, count, weightMode);
    }
    const shift = bias ? loadTail(bias + 4 * column, valid, FLOAT32) : f32x4.splat(0);
    for (let row = 0; row < rows; row += MR) {
      const tileRows = min(MR, rows - row);
      for (let r = 0; r < tileRows; r++) v128.store(scratch + 64 + 16 * r, shift);
      for (let group = 0; group < groups; group++) {
        const count = min(groupSteps, steps - group * groupSteps);
        // The panel of this tile starts after those of the rows before it, and the group after those before it.
        const a = panels + 16 * (row * steps + group * groupSteps * (rows > 1 ? MR : 1));
        tileOfSums(a, packed + packedGroup * group, weight + groupBytes * group, 0, rows, column, columns, stride, count, weightMode, scratch);
        const columnScales = scalesOf(weightScales, column, valid, group, groups);
        for (let r = 0; r < tileRows; r++) {
          const at = 4 * ((row + r) * groups + group);
          const exact = i32x4.sub(v128.load(scratch + 16 * r), i32x4.splat(offset * load<i32>(sums + at)));
          const scaled = f32x4.mul(f32x4.convert_i32x4_s(exact), f32x4.mul(v128.load32_splat(scales + at), columnScales));
          v128.store(scratch + 64 + 16 * r, f32x4.add(v128.load(scratch + 64 + 16 * r), scaled));
        }
      }
      for (let r = 0; r < tileRows; r++) {
        storeLanes(y + 4 * ((row + r) * columns + column), v128.load(scratch + 64 + 16 * r), valid);
      }
    }
  }
}

/** The scales of four columns in one group. */
// @ts-ignore: decorator
@inline
function scalesOf(scales: usize, column: i32, valid: i32, group: i32, groups: i32): v128 {
  const at = scales + 4 * (column * groups + group);
  const step = 4 * groups;
  let v = f32x4.splat(load<f32>(at));
  if (valid > 1) v = f32x4.replace_lane(v, 1, load<f32>(at + step));
  if (valid > 2) v = f32x4.replace_lane(v, 2, load<f32>(at + 2 * step));
  if (valid > 3) v = f32x4.replace_lane(v, 3, load<f32>(at + 3 * step));
  return v;
}
