// GPTQ's sweep: rows are independent, so four at a time go through all columns. A block of columns is rounded one by one;
// the columns behind it are updated once per block, from a product of its errors and the factor. Float64 throughout.
import { countAtOrBelow } from "./groups";
import { maddd } from "./simd";

/** Weight rows that share each load of the factor. */
const ROWS: i32 = 4;
/** Columns between updates of the rest. */
const BLOCK: i32 = 64;

/** Scratch: four rows in float64, padded, and their errors in a block. */
export function sweep_scratch(columns: i32): i32 {
  return 8 * ROWS * (((columns + 3) & ~3) + BLOCK);
}

/** Sweeps the groups of four rows `begin..end`. */
export function gptq_sweep(
  begin: i32, end: i32, scratch: usize,
  factor: usize, columnGroups: usize, scales: usize, zeros: usize, thresholds: usize, codeTable: usize, table: usize,
  weight: usize, codes: usize, loss: usize, rows: i32, columns: i32, base: i32, groups: i32, bits: i32,
): void {
  const stride = (columns + 3) & ~3;
  const errors = scratch + 8 * ROWS * stride;
  const codeStride = (base + 15) & ~15;
  const intervals = 1 << bits;
  for (let t = begin; t < end; t++) {
    const first = t * ROWS;
    const valid = min(ROWS, rows - first);
    memory.fill(scratch, 0, 8 * ROWS * (stride + BLOCK));
    for (let r = 0; r < valid; r++) {
      for (let j = 0; j < columns; j++) {
        store<f64>(scratch + 8 * (r * stride + j), load<f32>(weight + 4 * ((first + r) * columns + j)));
      }
      memory.fill(codes + codeStride * (first + r), 0, codeStride);
      store<f32>(loss + 4 * (first + r), 0);
    }
    for (let k = 0; k < base; k += BLOCK) {
      const stop = min(k + BLOCK, base);
      for (let r = 0; r < valid; r++) {
        const row = first + r;
        const line = scratch + 8 * r * stride;
        let squares: f64 = 0;
        for (let j = k; j < stop; j++) {
          const group = row * groups + load<i32>(columnGroups + 4 * j);
          const scale = load<f32>(scales + 4 * group), zero = load<f32>(zeros + 4 * group);
          const value = load<f64>(line + 8 * j);
          const level = <f32> (value / <f64> scale) + zero;
          const code = load<u32>(codeTable + 4 * countAtOrBelow(thresholds, intervals - 1, level));
          const rounded = <f32> ((<f64> load<f32>(table + 4 * code) - <f64> zero) * <f64> scale);
          const at = factor + 4 * j * columns;
          const error = (value - <f64> rounded) / <f64> load<f32>(at + 4 * j);
          for (let i = j + 1; i < stop; i++) {
            store<f64>(line + 8 * i, load<f64>(line + 8 * i) - error * <f64> load<f32>(at + 4 * i));
          }
          store<f64>(line + 8 * j, <f64> rounded);
          store<u8>(codes + codeStride * row + j, code);
          store<f64>(errors + 8 * (ROWS * (j - k) + r), -error);
          squares += error * error;
        }
        store<f32>(loss + 4 * row, load<f32>(loss + 4 * row) + <f32> (squares / 2));
      }
      propagate(scratch, stride, errors, factor + 4 * k * columns, columns, stop - k, stop);
    }
    for (let r = 0; r < valid; r++) {
      for (let j = 0; j < columns; j++) {
        store<f32>(weight + 4 * ((first + r) * columns + j), <f32> load<f64>(scratch + 8 * (r * stride + j)));
      }
    }
  }
}

/** `line[r, j] += sum_k errors[k, r] * factor[k, j]` for the columns j from `from` on. */
function propagate(lines: usize, stride: i32, errors: usize, factor: usize, columns: i32, count: i32, from: i32): void {
  const step = 8 * stride;
  let j = from;
  for (; j + 4 <= columns; j += 4) {
    const at = lines + 8 * j;
    let c00 = v128.load(at), c01 = v128.load(at, 16);
    let c10 = v128.load(at + step), c11 = v128.load(at + step, 16);
    let c20 = v128.load(at + 2 * step), c21 = v128.load(at + 2 * step, 16);
    let c30 = v128.load(at + 3 * step), c31 = v128.load(at + 3 * step, 16);
    let u = factor + 4 * j;
    let e = errors;
    for (let k = 0; k < count; k++) {
      const four = v128.load(u);
      const u0 = f64x2.promote_low_f32x4(four);
      const u1 = f64x2.promote_low_f32x4(v128.shuffle<i32>(four, four, 2, 3, 2, 3));
      const e0 = v128.load64_splat(e);
      c00 = maddd(e0, u0, c00);
      c01 = maddd(e0, u1, c01);
      const e1 = v128.load64_splat(e, 8);
      c10 = maddd(e1, u0, c10);
      c11 = maddd(e1, u1, c11);
      const e2 = v128.load64_splat(e, 16);
      c20 = maddd(e2, u0, c20);
      c21 = maddd(e2, u1, c21);
      const e3 = v128.load64_splat(e, 24);
      c30 = maddd(e3, u0, c30);
      c31 = maddd(e3, u1, c31);
      u += 4 * columns;
      e += 8 * ROWS;
    }
    v128.store(at, c00);
    v128.store(at, c01, 16);
    v128.store(at + step, c10);
    v128.store(at + step, c11, 16);
    v128.store(at + 2 * step, c20);
    v128.store(at + 2 * step, c21, 16);
    v128.store(at + 3 * step, c30);
    v128.store(at + 3 * step, c31, 16);
  }
  for (; j < columns; j++) {
    for (let r = 0; r < ROWS; r++) {
      let sum = load<f64>(lines + r * step + 8 * j);
      for (let k = 0; k < count; k++) sum += load<f64>(errors + 8 * (ROWS * k + r)) * <f64> load<f32>(factor + 4 * (k * columns + j));
      store<f64>(lines + r * step + 8 * j, sum);
    }
  }
}
