// Ops on whole rows: look-up, scatter, norms, rotary embedding, column maxima and the loss of a token.
import { exp4, log1 } from "./math";
import { FLOAT32, load4, loadTail, madd, maxf, storeLanes, sumf, typeBytes } from "./simd";

/** y[row] = table[ids[row]] for the rows `begin..end`. */
export function gather_rows(
  begin: i32, end: i32, _scratch: usize, table: usize, ids: usize, y: usize, columns: i32, type: i32,
): void {
  const size = typeBytes(type);
  for (let row = begin; row < end; row++) {
    const src = table + <usize> load<u32>(ids + 4 * row) * columns * size;
    const dst = y + 4 * row * columns;
    let j = 0;
    for (; j + 4 <= columns; j += 4) v128.store(dst + 4 * j, load4(src + j * size, type));
    if (j < columns) storeLanes(dst + 4 * j, loadTail(src + j * size, columns - j, type), columns - j);
  }
}

/** target[positions[row]] = source[row] for the rows `begin..end`. */
export function scatter_rows(
  begin: i32, end: i32, _scratch: usize, source: usize, positions: usize, target: usize, columns: i32,
): void {
  for (let row = begin; row < end; row++) {
    memory.copy(target + 4 * <usize> load<u32>(positions + 4 * row) * columns, source + 4 * row * columns, 4 * columns);
  }
}

function sumSquares(x: usize, count: i32, mean: f32): f32 {
  let sum = f32x4.splat(0);
  let j = 0;
  for (; j + 4 <= count; j += 4) {
    const d = f32x4.sub(v128.load(x + 4 * j), f32x4.splat(mean));
    sum = madd(d, d, sum);
  }
  let total = sumf(sum);
  for (; j < count; j++) total += (load<f32>(x + 4 * j) - mean) * (load<f32>(x + 4 * j) - mean);
  return total;
}

function sumRow(x: usize, count: i32): f32 {
  let sum = f32x4.splat(0);
  let j = 0;
  for (; j + 4 <= count; j += 4) sum = f32x4.add(sum, v128.load(x + 4 * j));
  let total = sumf(sum);
  for (; j < count; j++) total += load<f32>(x + 4 * j);
  return total;
}

/** Norm of the rows `begin..end`: RMS norm where `bias` is 0, otherwise layer norm. */
export function norm(
  begin: i32, end: i32, _scratch: usize, x: usize, weight: usize, bias: usize, y: usize, columns: i32, epsilon: f32,
): void {
  for (let row = begin; row < end; row++) {
    const src = x + 4 * row * columns;
    const dst = y + 4 * row * columns;
    const mean: f32 = bias ? sumRow(src, columns) / <f32> columns : 0;
    const inverse: f32 = 1 / sqrt(sumSquares(src, columns, mean) / <f32> columns + epsilon);
    let j = 0;
    for (; j + 4 <= columns; j += 4) {
      let v = f32x4.mul(f32x4.sub(v128.load(src + 4 * j), f32x4.splat(mean)), f32x4.splat(inverse));
      v = f32x4.mul(v, v128.load(weight + 4 * j));
      v128.store(dst + 4 * j, bias ? f32x4.add(v, v128.load(bias + 4 * j)) : v);
    }
    for (; j < columns; j++) {
      const v = (load<f32>(src + 4 * j) - mean) * inverse * load<f32>(weight + 4 * j);
      store<f32>(dst + 4 * j, bias ? v + load<f32>(bias + 4 * j) : v);
    }
  }
}

/** Rotary embedding of the rows `begin..end`, half-split order. */
export function rope(
  begin: i32, end: i32, _scratch: usize,
  x: usize, cosines: usize, sines: usize, positions: usize, y: usize, heads: i32, headSize: i32,
): void {
  const pairs = headSize >> 1;
  for (let row = begin; row < end; row++) {
    const angle = 4 * <usize> load<u32>(positions + 4 * row) * pairs;
    for (let head = 0; head < heads; head++) {
      const at = 4 * (row * heads + head) * headSize;
      let i = 0;
      for (; i < pairs; i += 4) {
        const count = pairs - i;
        const cosine = count >= 4 ? v128.load(cosines + angle + 4 * i) : loadTail(cosines + angle + 4 * i, count, FLOAT32);
        const sine = count >= 4 ? v128.load(sines + angle + 4 * i) : loadTail(sines + angle + 4 * i, count, FLOAT32);
        const first = count >= 4 ? v128.load(x + at + 4 * i) : loadTail(x + at + 4 * i, count, FLOAT32);
        const second = count >= 4 ? v128.load(x + at + 4 * (pairs + i)) : loadTail(x + at + 4 * (pairs + i), count, FLOAT32);
        storeLanes(y + at + 4 * i, f32x4.sub(f32x4.mul(first, cosine), f32x4.mul(second, sine)), count);
        storeLanes(y + at + 4 * (pairs + i), f32x4.add(f32x4.mul(second, cosine), f32x4.mul(first, sine)), count);
      }
    }
  }
}

/** nll[row] = log(sum(exp(logits))) - logits[target] for the rows `begin..end`. */
export function token_nll(
  begin: i32, end: i32, _scratch: usize, logits: usize, targets: usize, nll: usize, columns: i32,
): void {
  for (let row = begin; row < end; row++) {
    const src = logits + 4 * row * columns;
    let highest = f32x4.splat(-Infinity);
    let j = 0;
    for (; j + 4 <= columns; j += 4) highest = f32x4.pmax(highest, v128.load(src + 4 * j));
    let top = maxf(highest);
    for (let i = j; i < columns; i++) top = max(top, load<f32>(src + 4 * i));
    let sum = f32x4.splat(0);
    for (let i = 0; i < j; i += 4) sum = f32x4.add(sum, exp4(f32x4.sub(v128.load(src + 4 * i), f32x4.splat(top))));
    let total: f64 = sumf(sum);
    for (; j < columns; j++) total += f32x4.extract_lane(exp4(f32x4.splat(load<f32>(src + 4 * j) - top)), 0);
    const target = load<f32>(src + 4 * load<u32>(targets + 4 * row));
    store<f32>(nll + 4 * row, <f32> (<f64> top + log1(total) - <f64> target));
  }
}

/** absmax[j] = max(absmax[j], |x[., j]|) for the vectors of four columns `begin..end`. */
export function column_absmax(
  begin: i32, end: i32, _scratch: usize, x: usize, absmax: usize, rows: i32, columns: i32,
): void {
  for (let t = begin; t < end; t++) {
    const j = 4 * t;
    const count = columns - j;
    let highest = loadTail(absmax + 4 * j, count, FLOAT32);
    let at = x + 4 * j;
    for (let row = 0; row < rows; row++) {
      highest = f32x4.pmax(highest, f32x4.abs(count >= 4 ? v128.load(at) : loadTail(at, count, FLOAT32)));
      at += 4 * columns;
    }
    storeLanes(absmax + 4 * j, highest, count);
  }
}
