import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { defineInteger, float16, int4, uint4 } from "@quik/quant/formats";
import {
  chooseQparams,
  clippedFraction,
  codeEntropy,
  createMatrix,
  createRandom,
  effectiveBits,
  errorMetrics,
  fakeQuantize,
  logitDivergence,
  perGroup,
  quantize,
  ratioClip,
} from "@quik/quant/quant";
import { quadraticForm } from "../../quant/_quadratic_form.ts";

Deno.test("errorMetrics() gives the hand-computed errors", () => {
  const errors = errorMetrics([3, 4, 0], [3, 3, 0]);
  assertEquals(errors.relativeError, 0.2);
  assertAlmostEquals(errors.sqnr, 13.9794, 1e-4);
  assertAlmostEquals(errors.cosine, 21 / (5 * Math.sqrt(18)), 1e-12);
  assertEquals([errors.maxError, errors.meanSquaredError], [1, 1 / 3]);
});

Deno.test("errorMetrics() of equal, zero and broken values", () => {
  const same = errorMetrics([1, 2], [1, 2]);
  assertEquals([same.relativeError, same.sqnr, same.maxError], [0, Infinity, 0]);
  assertAlmostEquals(same.cosine, 1, 1e-15);
  assertEquals(errorMetrics([0], [0]).cosine, 1);
  assertEquals(errorMetrics([0], [1]).relativeError, Infinity);
  assertEquals(errorMetrics([1, 2], [NaN, 2]).maxError, NaN);
  assertAlmostEquals(errorMetrics([1, 2], [2, 4]).cosine, 1, 1e-15);
  assertThrows(() => errorMetrics([1], []), RangeError, "Cannot compare 0 values with 1");
});

Deno.test("clippedFraction() counts values more than half a step outside", () => {
  const matrix = createMatrix(1, 4, Float32Array.of(7, 3.4, -3, -7));
  assertEquals(clippedFraction(matrix, chooseQparams(matrix, { format: int4 })), 0);
  // Clipped to half, a step is 0.5 and the levels reach from -4 to 3.5, half a step beyond which is still inside.
  const half = chooseQparams(matrix, { format: int4, clip: ratioClip(0.5) });
  assertEquals(clippedFraction(matrix, half), 0.5);
});

Deno.test("codeEntropy() is the bits actually used", () => {
  assertEquals(codeEntropy(Uint8Array.of(3, 3, 3)), 0);
  assertEquals(codeEntropy(Uint8Array.of(0, 1, 2, 3)), 2);
  assertAlmostEquals(codeEntropy([5, 5, 5, 9]), 2 - 0.75 * Math.log2(3), 1e-12);
  assertEquals(codeEntropy([]), 0);
});

Deno.test("effectiveBits() counts scales and zero points", () => {
  const matrix = createMatrix(2, 64, Float32Array.from({ length: 128 }, (_, i) => Math.sin(i)));
  const symmetric = chooseQparams(matrix, { format: int4, granularity: perGroup(32), scaleFormat: float16 });
  assertEquals(effectiveBits(symmetric), 4.5);
  const asymmetric = chooseQparams(matrix, { format: uint4, mapping: "asym", granularity: perGroup(32) });
  assertEquals(effectiveBits(asymmetric), 4 + 36 / 32);
  const affine = chooseQparams(matrix, {
    format: uint4,
    mapping: "min-max",
    granularity: perGroup(32),
    scaleFormat: float16,
  });
  assertEquals(effectiveBits(affine), 5);
  assertEquals(quantize(matrix, symmetric).codes.length, 128);
});

Deno.test("logitDivergence() is zero for a constant shift and the formula otherwise", () => {
  const logits = createMatrix(2, 3, Float32Array.of(0, 1, 2, -1, 0, 5));
  const shifted = createMatrix(2, 3, logits.data.map((value) => value + 3));
  const none = logitDivergence(logits, shifted);
  assertAlmostEquals(none.mean, 0, 1e-12);
  assertEquals(none.topAgreement, 1);

  const p = createMatrix(1, 2, Float32Array.of(Math.log(3), 0)); // 3/4, 1/4
  const q = createMatrix(1, 2, Float32Array.of(0, 0)); // 1/2, 1/2
  const expected = 0.75 * Math.log(1.5) + 0.25 * Math.log(0.5);
  const { mean, median, percentile99, topAgreement } = logitDivergence(p, q);
  assertAlmostEquals(mean, expected, 1e-7);
  assertEquals([median, percentile99, topAgreement], [mean, mean, 1]);
  assertEquals(logitDivergence(q, createMatrix(1, 2, Float32Array.of(0, 1))).topAgreement, 0);
  assertThrows(() => logitDivergence(p, logits), RangeError, "the shapes must agree");
});

Deno.test("logitDivergence() takes masked logits and large ones", () => {
  const p = createMatrix(1, 3, Float32Array.of(-Infinity, 1e4, 1e4));
  assertEquals(logitDivergence(p, p).mean, 0);
});

Deno.test("a bit more is 6 dB more, on uniform values", () => {
  const random = createRandom(3);
  const values = createMatrix(64, 128, Float32Array.from({ length: 8192 }, () => random.uniform() - 0.5));
  const sqnr = [4, 5, 6, 7, 8].map((bits) => {
    const format = defineInteger({ bits, signed: false });
    return errorMetrics(
      values.data,
      fakeQuantize(values, chooseQparams(values, { format, mapping: "asym" })).data,
    )
      .sqnr;
  });
  for (let i = 1; i < sqnr.length; i++) assertAlmostEquals(sqnr[i] - sqnr[i - 1], 6.02, 0.5);
});

Deno.test("the Hessian gives the squared output error without the inputs, to 1e-9", () => {
  // Small integers, so that x^T x is exact in float32.
  const random = createRandom(4);
  const [tokens, inputs, outputs] = [40, 24, 7];
  const x = Float32Array.from({ length: tokens * inputs }, () => random.integer(21) - 10);
  const gram = createMatrix(inputs, inputs);
  for (let i = 0; i < inputs; i++) {
    for (let j = 0; j < inputs; j++) {
      for (let t = 0; t < tokens; t++) gram.data[i * inputs + j] += x[t * inputs + i] * x[t * inputs + j];
    }
  }
  for (let o = 0; o < outputs; o++) {
    const change = Float32Array.from({ length: inputs }, () => random.normal());
    let direct = 0;
    for (let t = 0; t < tokens; t++) {
      direct += change.reduce((sum, d, i) => sum + d * x[t * inputs + i], 0) ** 2;
    }
    assertAlmostEquals(quadraticForm(change, gram) / direct, 1, 1e-9);
    const part = quadraticForm(change.slice(5, 20), gram, 5);
    let block = 0;
    for (let t = 0; t < tokens; t++) {
      block += change.slice(5, 20).reduce((sum, d, i) => sum + d * x[t * inputs + 5 + i], 0) ** 2;
    }
    assertAlmostEquals(part / block, 1, 1e-9);
  }
});
