import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import {
  createMatrix64,
  createRandom,
  identity64,
  type Matrix64,
  multiply64,
  multiplyTransposed64,
  qr,
  randomOrthogonal,
  squaredNorm64,
  subtract64,
  svd,
  type SvdResult,
  transpose64,
  truncatedSvd,
} from "@quik/quant/quant";

function random(rows: number, cols: number, seed: number): Matrix64 {
  const { normal } = createRandom(seed);
  return createMatrix64(rows, cols, Float64Array.from({ length: rows * cols }, normal));
}

function assertOrthonormalColumns(matrix: Matrix64): void {
  const transposed = transpose64(matrix);
  const gram = multiplyTransposed64(transposed, transposed);
  assertLess(squaredNorm64(subtract64(gram, identity64(matrix.cols))), 1e-20);
}

/** `u * diag(s) * v^T`. */
function rebuild({ u, s, v }: SvdResult): Matrix64 {
  const scaled = createMatrix64(u.rows, u.cols, u.data.map((value, i) => value * s[i % u.cols]));
  return multiplyTransposed64(scaled, v);
}

Deno.test("qr() factors tall, square and rank-deficient matrices", () => {
  const tall = random(9, 4, 1);
  const deficient = multiply64(random(7, 2, 2), random(2, 5, 3));
  for (const matrix of [tall, random(6, 6, 4), deficient, createMatrix64(5, 3)]) {
    const { q, r } = qr(matrix);
    assertOrthonormalColumns(q);
    for (let i = 0; i < r.rows; i++) {
      for (let j = 0; j < i; j++) assertEquals(r.data[i * r.cols + j], 0);
    }
    assertLess(squaredNorm64(subtract64(multiply64(q, r), matrix)), 1e-24);
  }
  assertThrows(() => qr(random(3, 4, 1)), RangeError, "fewer rows");
});

Deno.test("randomOrthogonal() is orthogonal and repeats for a seed", () => {
  const matrix = randomOrthogonal(33, 5);
  assertOrthonormalColumns(matrix);
  assertOrthonormalColumns(transpose64(matrix));
  assertEquals(matrix, randomOrthogonal(33, 5));
});

Deno.test("svd() rebuilds matrices of any shape and rank", () => {
  const deficient = multiply64(random(8, 3, 2), random(3, 6, 3));
  for (
    const matrix of [random(12, 7, 1), random(5, 11, 2), random(8, 8, 3), deficient, createMatrix64(4, 3)]
  ) {
    const result = svd(matrix);
    assertEquals(result.s.length, Math.min(matrix.rows, matrix.cols));
    assertOrthonormalColumns(result.u);
    assertOrthonormalColumns(result.v);
    assertLess(squaredNorm64(subtract64(rebuild(result), matrix)), 1e-22);
    for (let k = 1; k < result.s.length; k++) assert(result.s[k - 1] >= result.s[k]);
  }
});

Deno.test("svd() of a diagonal matrix returns the sorted magnitudes", () => {
  assertEquals(
    svd(createMatrix64(3, 3, Float64Array.of(2, 0, 0, 0, -5, 0, 0, 0, 0))).s,
    Float64Array.of(5, 2, 0),
  );
});

Deno.test("svd() truncation error is the sum of the dropped squared singular values", () => {
  const matrix = random(40, 24, 9);
  const full = svd(matrix);
  assertAlmostEquals(full.s.reduce((sum, s) => sum + s * s, 0) / squaredNorm64(matrix), 1, 1e-12);
  for (const rank of [1, 7, 20]) {
    // A sketch of all directions is the full decomposition.
    const truncated = truncatedSvd(matrix, rank, { oversample: 24 });
    const error = squaredNorm64(subtract64(matrix, rebuild(truncated)));
    const dropped = full.s.subarray(rank).reduce((sum, s) => sum + s * s, 0);
    assertAlmostEquals(error / dropped, 1, 1e-9);
  }
});

Deno.test("truncatedSvd() sketches a low-rank matrix exactly and any other near its optimum", () => {
  const lowRank = multiply64(random(90, 6, 1), random(6, 70, 2));
  assertLess(squaredNorm64(subtract64(lowRank, rebuild(truncatedSvd(lowRank, 6)))), 1e-18);
  const matrix = random(120, 80, 3);
  const { s } = svd(matrix);
  const optimum = s.subarray(8).reduce((sum, value) => sum + value * value, 0);
  const sketch = truncatedSvd(matrix, 8);
  assertOrthonormalColumns(sketch.u);
  assertOrthonormalColumns(sketch.v);
  const error = squaredNorm64(subtract64(matrix, rebuild(sketch)));
  assert(error >= optimum * (1 - 1e-12) && error < optimum * 1.01, `${error} against ${optimum}`);
  // Starting from the answer, a single step suffices.
  const restarted = truncatedSvd(matrix, 8, { start: svd(matrix).v, powerSteps: 0 });
  assertAlmostEquals(squaredNorm64(subtract64(matrix, rebuild(restarted))) / optimum, 1, 1e-9);
});

Deno.test("truncatedSvd() rejects ranks that are not positive integers", () => {
  assertThrows(() => truncatedSvd(random(3, 3, 1), 0), RangeError, "positive integer");
});
