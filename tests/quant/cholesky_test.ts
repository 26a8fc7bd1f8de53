import {
  cholesky,
  choleskySolve,
  createMatrix64,
  createRandom,
  dampedInverseFactor,
  identity64,
  inverseUpperFactor,
  type Matrix64,
  multiply64,
  multiplyTransposed64,
  squaredNorm64,
  subtract64,
  transpose64,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";

function positiveDefinite(size: number): Matrix64 {
  const random = createRandom(size);
  const factor = createMatrix64(
    size,
    size,
    Float64Array.from({ length: size * size }, () => random.normal()),
  );
  const product = multiplyTransposed64(factor, factor);
  for (let i = 0; i < size; i++) product.data[i * size + i] += 0.1;
  return product;
}

function distance(a: Matrix64, b: Matrix64): number {
  return Math.sqrt(squaredNorm64(subtract64(a, b)) / squaredNorm64(b));
}

Deno.test("cholesky() gives a lower factor whose square is the matrix", () => {
  for (const size of [1, 2, 5, 33, 64]) {
    const matrix = positiveDefinite(size), lower = cholesky(matrix);
    assertLess(distance(multiplyTransposed64(lower, lower), matrix), 1e-14);
    for (let i = 0; i < size; i++) {
      for (let j = i + 1; j < size; j++) assertEquals(lower.data[i * size + j], 0);
    }
  }
});

Deno.test("cholesky() refuses a matrix that is not positive definite or not square", () => {
  assertThrows(
    () => cholesky(createMatrix64(2, 2, Float64Array.of(1, 2, 2, 1))),
    RangeError,
    "positive definite",
  );
  assertThrows(
    () => cholesky(createMatrix64(2, 2, Float64Array.of(NaN, 0, 0, 1))),
    RangeError,
    "pivot 0 is NaN",
  );
  assertThrows(() => cholesky(createMatrix64(1, 2)), RangeError, "must be square");
});

Deno.test("choleskySolve() solves", () => {
  const matrix = positiveDefinite(17), right = createMatrix64(17, 3);
  right.data.forEach((_, i) => right.data[i] = Math.sin(i));
  const solution = choleskySolve(cholesky(matrix), right);
  assertLess(distance(multiply64(matrix, solution), right), 1e-10);
  assertThrows(() => choleskySolve(cholesky(matrix), createMatrix64(3, 3)), RangeError, "17 equations");
});

Deno.test("inverseUpperFactor() factors the inverse without forming it", () => {
  for (const size of [1, 3, 40]) {
    const matrix = positiveDefinite(size), upper = inverseUpperFactor(matrix);
    const inverse = multiply64(transpose64(upper), upper);
    assertLess(distance(multiply64(matrix, inverse), identity64(size)), 1e-9);
    for (let i = 0; i < size; i++) for (let j = 0; j < i; j++) assertEquals(upper.data[i * size + j], 0);
  }
});

Deno.test("dampedInverseFactor() raises the damping until the matrix can be factored", () => {
  const ones = createMatrix64(3, 3, new Float64Array(9).fill(1));
  assertEquals(dampedInverseFactor(ones).damping, 0.01);
  const indefinite = createMatrix64(2, 2, Float64Array.of(1, 1.05, 1.05, 1));
  assertAlmostEquals(dampedInverseFactor(indefinite).damping, 0.1, 1e-12);
  const { factor, damping } = dampedInverseFactor(ones, { percDamp: 0 });
  assert(damping > 0 && factor.data.every(Number.isFinite));
  assertThrows(
    () => dampedInverseFactor(createMatrix64(1, 1, Float64Array.of(Infinity))),
    RangeError,
    "NaN or infinity",
  );
});
