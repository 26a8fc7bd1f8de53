// Element-wise ops on vectors of four; a ragged end is handled as a partial vector.
import { constant, ONE } from "./constants";
import { erfc1, exp4 } from "./math";
import { FLOAT32, loadTail, storeLanes } from "./simd";

const SILU: i32 = 0;
const RELU: i32 = 1;
const GELU: i32 = 2;

// @ts-ignore: decorator
@inline
function sigmoid(x: v128): v128 {
  return f32x4.div(constant(ONE), f32x4.add(constant(ONE), exp4(f32x4.neg(x))));
}

function gelu1(x: f32): f32 {
  const tail = 0.5 * erfc1(abs(<f64> x) * 0.7071067811865476);
  return <f32> (<f64> x * (x < 0 ? tail : 1 - tail));
}

function apply(x: v128, kind: i32): v128 {
  if (kind == SILU) return f32x4.mul(x, sigmoid(x));
  if (kind == RELU) return f32x4.pmax(x, f32x4.splat(0));
  if (kind == GELU) {
    let y = f32x4.splat(gelu1(f32x4.extract_lane(x, 0)));
    y = f32x4.replace_lane(y, 1, gelu1(f32x4.extract_lane(x, 1)));
    y = f32x4.replace_lane(y, 2, gelu1(f32x4.extract_lane(x, 2)));
    return f32x4.replace_lane(y, 3, gelu1(f32x4.extract_lane(x, 3)));
  }
  // The tanh form is x * sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3): no cancellation for negative x.
  const cube = f32x4.mul(f32x4.mul(x, x), x);
  const u = f32x4.mul(f32x4.splat(1.5957691216057308), f32x4.add(x, f32x4.mul(f32x4.splat(0.044715), cube)));
  return f32x4.mul(x, sigmoid(u));
}

// @ts-ignore: decorator
@inline
function loadSome(src: usize, i: i32, count: i32): v128 {
  return i + 4 <= count ? v128.load(src + 4 * i) : loadTail(src + 4 * i, count - i, FLOAT32);
}

/** y = f(x) over the vectors `begin..end`. */
export function activation(begin: i32, end: i32, _scratch: usize, x: usize, y: usize, count: i32, kind: i32): void {
  for (let i = 4 * begin; i < min(4 * end, count); i += 4) {
    storeLanes(y + 4 * i, apply(loadSome(x, i, count), kind), count - i);
  }
}

/** y = f(gate) * up over the vectors `begin..end`. */
export function gated_activation(
  begin: i32, end: i32, _scratch: usize, gate: usize, up: usize, y: usize, count: i32, kind: i32,
): void {
  for (let i = 4 * begin; i < min(4 * end, count); i += 4) {
    storeLanes(y + 4 * i, f32x4.mul(apply(loadSome(gate, i, count), kind), loadSome(up, i, count)), count - i);
  }
}

/** y = a + b over the vectors `begin..end`. */
export function add(begin: i32, end: i32, _scratch: usize, a: usize, b: usize, y: usize, count: i32): void {
  for (let i = 4 * begin; i < min(4 * end, count); i += 4) {
    storeLanes(y + 4 * i, f32x4.add(loadSome(a, i, count), loadSome(b, i, count)), count - i);
  }
}
