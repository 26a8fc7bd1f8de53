import { assertEquals, assertLess, assertThrows } from "@std/assert";
import {
  add64,
  createMatrix64,
  createRandom,
  identity64,
  type Matrix64,
  multiply64,
  multiplyTransposed64,
  squaredNorm64,
  subtract64,
  toMatrix,
  toMatrix64,
  transpose64,
} from "@quik/quant/quant";

function random(rows: number, cols: number, seed: number): Matrix64 {
  const { normal } = createRandom(seed);
  return createMatrix64(rows, cols, Float64Array.from({ length: rows * cols }, normal));
}

Deno.test("multiply64() equals the sum over the inner index for ragged shapes", () => {
  for (const [m, k, n] of [[1, 1, 1], [4, 3, 4], [5, 7, 6], [9, 2, 11], [8, 16, 4]]) {
    const a = random(m, k, 1);
    const b = random(k, n, 2);
    const expected = createMatrix64(m, n);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        for (let l = 0; l < k; l++) expected.data[i * n + j] += a.data[i * k + l] * b.data[l * n + j];
      }
    }
    assertLess(squaredNorm64(subtract64(multiply64(a, b), expected)), 1e-26);
    assertEquals(multiplyTransposed64(a, transpose64(b)), multiply64(a, b));
  }
});

Deno.test("matrix64 conversions are exact where float32 is", () => {
  const a = toMatrix64(toMatrix(random(3, 5, 3)));
  assertEquals(toMatrix64(toMatrix(a)), a);
  assertEquals(multiply64(a, identity64(5)), a);
  assertEquals(subtract64(add64(a, a), a), a);
});

Deno.test("matrix64 functions reject shapes that do not fit", () => {
  assertThrows(() => createMatrix64(2, 2, new Float64Array(3)), RangeError, "it needs 4");
  assertThrows(() => multiply64(random(2, 3, 1), random(2, 3, 1)), RangeError, "inner sizes differ");
  assertThrows(() => add64(random(2, 3, 1), random(3, 2, 1)), RangeError, "must be equal");
});
