// Noise-aware rounding targets: the identity behind them, their limits, and what they win on a layer.
import {
  absorbActivationNoise,
  activationNoise,
  CalibrationAccumulator,
  createMatrix,
  createRandom,
  type Matrix,
} from "../../quant/mod.ts";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";

const random = createRandom(8);
const normals = (rows: number, cols: number): Matrix =>
  createMatrix(rows, cols, Float32Array.from({ length: rows * cols }, () => random.normal()));
const NONE = new Uint32Array(0);

/** `sum (a M a^T)` over the rows of a difference. */
function quadratic(difference: Float64Array, hessian: Matrix): number {
  const size = hessian.cols;
  let sum = 0;
  for (let row = 0; row < difference.length / size; row++) {
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        sum += difference[row * size + i] * hessian.data[i * size + j] * difference[row * size + j];
      }
    }
  }
  return sum;
}

const minus = (a: Matrix, b: Matrix): Float64Array =>
  Float64Array.from(a.data, (value, i) => value - b.data[i]);

function layer(): { weight: Matrix; hessian: Matrix } {
  const accumulator = new CalibrationAccumulator(12);
  accumulator.add(normals(64, 12));
  return { weight: normals(3, 12), hessian: accumulator.finish().hessian };
}

Deno.test("absorbActivationNoise() changes the expected output error by a constant only", () => {
  const { weight, hessian } = layer();
  const outliers = Uint32Array.of(4, 9);
  const noise = 0.3;
  const target = absorbActivationNoise(weight, { hessian, noise, outliers });
  const noisy = (candidate: Matrix): number => {
    let sum = quadratic(minus(candidate, weight), hessian);
    candidate.data.forEach((value, i) => sum += outliers.includes(i % 12) ? 0 : 2 * noise * value * value);
    return sum;
  };
  const absorbed = (candidate: Matrix): number => quadratic(minus(candidate, target.weight), target.hessian);
  const differences = [normals(3, 12), normals(3, 12), weight].map((c) => noisy(c) - absorbed(c));
  for (const difference of differences) {
    assertAlmostEquals(difference, differences[0], 2e-3 * Math.abs(differences[0]));
  }
  assert(noisy(target.weight) < noisy(weight));
});

Deno.test("absorbActivationNoise() without noise leaves the weight", () => {
  const { weight, hessian } = layer();
  const target = absorbActivationNoise(weight, { hessian, noise: 0, outliers: NONE });
  target.weight.data.forEach((value, i) => assertAlmostEquals(value, weight.data[i], 1e-4));
});

Deno.test("absorbActivationNoise() takes columns that never vary", () => {
  const weight = normals(2, 3);
  const hessian = createMatrix(3, 3, Float32Array.of(2, 0, 0, 0, 0, 0, 0, 0, 2));
  const target = absorbActivationNoise(weight, { hessian, noise: 0.1, outliers: Uint32Array.of(1) });
  assert(target.weight.data.every(Number.isFinite));
});

Deno.test("activationNoise() is a twelfth of the squared step of the base columns", () => {
  const inputs = createMatrix(2, 3, Float32Array.of(0, 15, 900, 1, 1, -7));
  assertAlmostEquals(
    activationNoise(inputs, { bits: 4, outliers: Uint32Array.of(2) }),
    (1 + 0) / 12 / 2,
    1e-12,
  );
  assertEquals(activationNoise(createMatrix(0, 3), { bits: 8, outliers: NONE }), 0);
});

Deno.test("absorbActivationNoise() rejects a Hessian of another size", () => {
  const { weight } = layer();
  assertThrows(
    () => absorbActivationNoise(weight, { hessian: createMatrix(3, 3), noise: 1, outliers: NONE }),
    RangeError,
    "for 12 inputs",
  );
});
