import { assertAlmostEquals, assertEquals } from "@std/assert";
import { createMatrix, createRandom, kurtosis, kurtosisPenalty, type Matrix } from "@quik/quant/quant";
import { normalMatrix } from "./_fixture.ts";

Deno.test("kurtosis() of known distributions", () => {
  const count = 100_000;
  const { uniform, normal } = createRandom(6);
  const row = (draw: (i: number) => number, length = count) =>
    createMatrix(1, length, Float32Array.from({ length }, (_, i) => draw(i)));
  assertAlmostEquals(kurtosis(row(uniform))[0], 1.8, 0.02);
  assertAlmostEquals(kurtosis(row(normal))[0], 3, 0.1);
  for (const d of [4, 10, 64]) {
    assertAlmostEquals(kurtosis(row((i) => i === 1 ? 5 : 0, d))[0], d - 2 + 1 / (d - 1), 1e-6);
  }
  assertEquals(kurtosis(row(() => 3, 8))[0], 0);
});

Deno.test("kurtosis() ignores scale and offset", () => {
  const x = normalMatrix(3, 40, 1);
  const moved = createMatrix(3, 40, x.data.map((value) => -7 * value + 2));
  kurtosis(x).forEach((value, row) => assertAlmostEquals(kurtosis(moved)[row] / value, 1, 1e-5));
});

Deno.test("kurtosisPenalty() gradient equals finite differences, with and without a target", () => {
  const x = normalMatrix(3, 12, 2);
  for (const options of [{ strength: 1 }, { strength: 0.3, target: 1.8 }]) {
    const { gradient } = kurtosisPenalty(x, options);
    const h = 2 ** -10;
    for (let i = 0; i < x.data.length; i++) {
      const at = (delta: number): Matrix => {
        const data = x.data.slice();
        data[i] += delta;
        return createMatrix(x.rows, x.cols, data);
      };
      const [above, below] = [at(h), at(-h)];
      const spacing = above.data[i] - below.data[i];
      const numeric = (kurtosisPenalty(above, options).loss - kurtosisPenalty(below, options).loss) / spacing;
      assertAlmostEquals(gradient.data[i], numeric, 2e-4);
    }
  }
});

Deno.test("kurtosisPenalty() descent removes an outlier", () => {
  const x = normalMatrix(1, 32, 3);
  x.data[5] = 15;
  const before = kurtosis(x)[0];
  for (let step = 0; step < 100; step++) {
    const { gradient } = kurtosisPenalty(x, { strength: 1 });
    for (let i = 0; i < x.data.length; i++) x.data[i] -= gradient.data[i];
  }
  assertEquals(kurtosis(x)[0] < before / 3, true);
});
