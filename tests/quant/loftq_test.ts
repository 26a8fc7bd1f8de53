import { assertAlmostEquals, assertEquals, assertLess, assertLessOrEqual, assertThrows } from "@std/assert";
import { nf2, nf4, normalFloatLevels } from "@quik/quant/formats";
import {
  createMatrix,
  dequantizeBlocks,
  loftq,
  lowRankMatrix,
  type Matrix,
  quantizeBlocks,
} from "@quik/quant/quant";
import { normalMatrix, relativeError } from "./_fixture.ts";
import { floatsOf } from "../_base64.ts";
import peft from "../fixtures/peft_loftq.json" with { type: "json" };
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
  const weight = createMatrix(reference.rows, reference.cols, floatsOf(reference.weight));
  const quantize = (matrix: Matrix) =>
    dequantizeBlocks(quantizeBlocks(matrix, { doubleQuantization: false }));
  const { steps } = loftq(weight, { quantize, rank: reference.rank, storage: "float32" });
  steps.forEach((step, i) => {
    assertAlmostEquals(step.quantized / reference.steps[i].quantized, 1, 1e-4);
    assertAlmostEquals(step.withAdapter / reference.steps[i].withAdapter, 1, 1e-4);
  });
});

Deno.test("loftq() is peft's loftq_init: levels, quantized weight, branch and error", () => {
  for (const [bits, levels] of Object.entries(peft.levels)) {
    normalFloatLevels(Number(bits)).forEach((level, code) => assertAlmostEquals(level, levels[code], 2e-7));
  }
  const { rows, cols, rank } = peft;
  const weight = createMatrix(rows, cols, floatsOf(peft.weight));
  for (const { bits, iterations, quantized, branch, upNorm, downNorm, error } of peft.cases) {
    const format = bits === 4 ? nf4 : nf2;
    const quantize = (matrix: Matrix) =>
      dequantizeBlocks(quantizeBlocks(matrix, { format, doubleQuantization: false }));
    const ours = loftq(weight, { quantize, rank, iterations, storage: "float32" });
    // peft returns the last step, not the best one.
    assertAlmostEquals(ours.steps[iterations - 1].withAdapter / error, 1, 1e-4);
    if (iterations > 1) continue;
    const norm = (m: Matrix) => Math.sqrt(m.data.reduce((sum, v) => sum + v * v, 0));
    assertAlmostEquals(norm(ours.branch.up) / upNorm, 1, 1e-5);
    assertAlmostEquals(norm(ours.branch.down) / downNorm, 1, 1e-5);
    assertLess(relativeError(createMatrix(rows, cols, floatsOf(quantized!)), ours.weight), 1e-6);
    assertLess(relativeError(createMatrix(rows, cols, floatsOf(branch!)), lowRankMatrix(ours.branch)), 1e-4);
  }
});
