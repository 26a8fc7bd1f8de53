// What methods wrap around a product: the Hadamard rotation and a sparse addition.

/** The blocks `begin..end` of all rows, rotated. `matrix` and `signs` may be 0. Scratch: one block. */
export function hadamard(
  begin: i32, end: i32, scratch: usize,
  x: usize, matrix: usize, signs: usize, y: usize, columns: i32, blockSize: i32, order: i32, inverse: i32,
): void {
  const blocks = columns / blockSize;
  const part = blockSize / order;
  const scale: f32 = <f32> (1 / sqrt(<f64> blockSize));
  for (let block = begin; block < end; block++) {
    const src = x + 4 * blockSize * block;
    const dst = y + 4 * blockSize * block;
    const sign = signs ? signs + 4 * blockSize * (block % blocks) : 0;
    for (let i = 0; i < blockSize; i++) {
      const value = load<f32>(src + 4 * i);
      store<f32>(scratch + 4 * i, sign && !inverse ? value * load<f32>(sign + 4 * i) : value);
    }
    for (let p = 0; p < order; p++) walsh(scratch + 4 * part * p, part);
    for (let to = 0; to < order; to++) {
      for (let i = 0; i < part; i++) {
        let sum: f32 = 0;
        if (matrix) {
          for (let from = 0; from < order; from++) {
            const at = inverse ? to * order + from : from * order + to;
            sum += load<f32>(matrix + 4 * at) * load<f32>(scratch + 4 * (from * part + i));
          }
        } else sum = load<f32>(scratch + 4 * i);
        const at = to * part + i;
        sum *= scale;
        store<f32>(dst + 4 * at, sign && inverse ? sum * load<f32>(sign + 4 * at) : sum);
      }
    }
  }
}

/** The Walsh-Hadamard transform of `count` (a power of two) floats in place, natural order, not scaled. */
function walsh(x: usize, count: i32): void {
  for (let half = 1; half < count; half <<= 1) {
    for (let start = 0; start < count; start += 2 * half) {
      const a = x + 4 * start, b = a + 4 * half;
      if (half >= 4) {
        for (let i = 0; i < half; i += 4) {
          const u = v128.load(a + 4 * i), v = v128.load(b + 4 * i);
          v128.store(a + 4 * i, f32x4.add(u, v));
          v128.store(b + 4 * i, f32x4.sub(u, v));
        }
      } else {
        for (let i = 0; i < half; i++) {
          const u = load<f32>(a + 4 * i), v = load<f32>(b + 4 * i);
          store<f32>(a + 4 * i, u + v);
          store<f32>(b + 4 * i, u - v);
        }
      }
    }
  }
}

/** `y += x * sparse^T` for the rows `begin..end` of x. */
export function sparse_add(
  begin: i32, end: i32, _scratch: usize,
  x: usize, starts: usize, indices: usize, values: usize, y: usize, columns: i32, inner: i32,
): void {
  for (let row = begin; row < end; row++) {
    const src = x + 4 * row * inner;
    for (let c = 0; c < columns; c++) {
      const last = load<i32>(starts + 4 * c, 4);
      let sum: f32 = 0;
      for (let i = load<i32>(starts + 4 * c); i < last; i++) {
        sum += load<f32>(src + 4 * load<u32>(indices + 4 * i)) * load<f32>(values + 4 * i);
      }
      const at = y + 4 * (row * columns + c);
      store<f32>(at, load<f32>(at) + sum);
    }
  }
}
