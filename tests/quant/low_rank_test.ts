import { assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import {
  createMatrix,
  lowRankBackward,
  lowRankForward,
  lowRankMatrix,
  lowRankOf,
  type Matrix,
  squaredNorm64,
  subtract64,
  svd,
  toMatrix64,
} from "@quik/quant/quant";
import { normalMatrix, product, relativeError } from "./_fixture.ts";

Deno.test("lowRankOf() leaves the dropped singular values, whichever way it splits them", () => {
  const weight = normalMatrix(20, 14, 1);
  const dropped = svd(toMatrix64(weight)).s.subarray(5).reduce((sum, s) => sum + s * s, 0);
  for (const split of ["up", "even"] as const) {
    const branch = lowRankOf(weight, 5, { split });
    assertEquals([branch.up.cols, branch.down.rows], [5, 5]);
    const rest = squaredNorm64(subtract64(toMatrix64(weight), toMatrix64(lowRankMatrix(branch))));
    assertAlmostEquals(rest / dropped, 1, 1e-6);
  }
  assertLess(relativeError(weight, lowRankMatrix(lowRankOf(weight, 99))), 1e-6);
  assertThrows(() => lowRankOf(weight, 0), RangeError, "positive integer");
});

Deno.test("lowRankForward() is the product with the branch's matrix", () => {
  const branch = lowRankOf(normalMatrix(9, 12, 1), 3);
  const x = normalMatrix(4, 12, 2);
  assertLess(relativeError(product(x, lowRankMatrix(branch)), lowRankForward(x, branch)), 1e-6);
});

Deno.test("lowRankBackward() equals finite differences", () => {
  const scaling = 0.7;
  const x = normalMatrix(3, 6, 1);
  const gradient = normalMatrix(3, 5, 2);
  const up = normalMatrix(5, 2, 3);
  const down = normalMatrix(2, 6, 4);
  const loss = (input: Matrix, u: Matrix, d: Matrix) =>
    lowRankForward(input, { up: u, down: d }, { scaling }).data
      .reduce((sum, value, i) => sum + value * gradient.data[i], 0);
  const result = lowRankBackward(x, gradient, { up, down }, { scaling });
  const numeric = (matrix: Matrix, at: (moved: Matrix) => number) =>
    createMatrix(
      matrix.rows,
      matrix.cols,
      matrix.data.map((_, i) => {
        const moved = (delta: number) =>
          createMatrix(matrix.rows, matrix.cols, matrix.data.map((v, k) => k === i ? v + delta : v));
        return (at(moved(0.25)) - at(moved(-0.25))) / 0.5; // the loss is linear in each factor
      }),
    );
  assertLess(relativeError(numeric(x, (m) => loss(m, up, down)), result.input), 1e-5);
  assertLess(relativeError(numeric(up, (m) => loss(x, m, down)), result.up), 1e-5);
  assertLess(relativeError(numeric(down, (m) => loss(x, up, m)), result.down), 1e-5);
});
