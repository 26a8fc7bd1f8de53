import { assertAlmostEquals, assertEquals, assertLess, assertLessOrEqual, assertThrows } from "@std/assert";
import { nf2, nf4 } from "@quik/quant/formats";
import {
  createMatrix,
  dequantizeBlocks,
  loftq,
  lowRankMatrix,
  type Matrix,
  quantizeBlocks,
} from "@quik/quant/quant";
import { normalMatrix, relativeError } from "./_fixture.ts";
import reference from "../fixtures/loftq_reference.json" with { type: "json" };

const toNf4 = (weight: Matrix): Matrix => dequantizeBlocks(quantizeBlocks(weight, { format: nf4 }));
const toNf2 = (weight: Matrix): Matrix => dequantizeBlocks(quantizeBlocks(weight, { format: nf2 }));

Deno.test("loftq() adapter never raises the error of its step, and keeps the best step", () => {
  const weight = normalMatrix(96, 128, 1);
  for (const quantize of [toNf4, toNf2]) {
    const result = loftq(weight, { quantize, rank: 8, iterations: 5 });
    assertEquals(result.steps.length, 5);
    for (const step of result.steps) assertLessOrEqual(step.withAdapter, step.quantized);
    const best = Math.min(...result.steps.map((step) => step.withAdapter));
    const correction = lowRankMatrix(result.branch);
    const error = weight.data.reduce(
      (sum, w, i) => sum + (w - result.weight.data[i] - correction.data[i]) ** 2,
      0,
    );
    assertAlmostEquals(error / best, 1, 1e-5);
  }
});

Deno.test("loftq() improves a 4-bit Gaussian weight by as much as published", () => {
  const weight = normalMatrix(96, 128, 2);
  const { steps } = loftq(weight, { quantize: toNf4, rank: 8, iterations: 5 });
  const plain = Math.sqrt(steps[0].quantized);
  assertLess(Math.sqrt(steps[0].withAdapter), 0.9 * plain);
  assertLess(Math.sqrt(Math.min(...steps.map((step) => step.withAdapter))), 0.82 * plain);
});

Deno.test("loftq() of full rank reproduces the weight", () => {
  const weight = normalMatrix(12, 20, 3);
  const { weight: quantized, branch } = loftq(weight, {
    quantize: toNf4,
    rank: 12,
    iterations: 1,
    storage: "float32",
  });
  const correction = lowRankMatrix(branch);
  const sum = createMatrix(12, 20, quantized.data.map((q, i) => q + correction.data[i]));
  assertLess(relativeError(weight, sum), 1e-6);
});

Deno.test("loftq() needs an iteration", () => {
  assertThrows(() => loftq(normalMatrix(2, 2), { quantize: toNf4, iterations: 0 }), RangeError, "needs one");
});

Deno.test("loftq() takes the steps of LoftQ written in numpy around bitsandbytes' NF4", () => {
  const bytes = Uint8Array.from(atob(reference.weight), (char) => char.charCodeAt(0));
  const weight = createMatrix(reference.rows, reference.cols, new Float32Array(bytes.buffer));
  const quantize = (matrix: Matrix) =>
    dequantizeBlocks(quantizeBlocks(matrix, { doubleQuantization: false }));
  const { steps } = loftq(weight, { quantize, rank: reference.rank, storage: "float32" });
  steps.forEach((step, i) => {
    assertAlmostEquals(step.quantized / reference.steps[i].quantized, 1, 1e-4);
    assertAlmostEquals(step.withAdapter / reference.steps[i].withAdapter, 1, 1e-4);
  });
});
