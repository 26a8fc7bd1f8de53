import { createMatrix, hqq, integerGrid, type Matrix, nearestRounder } from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { bytesOf, floatsOf } from "../_base64.ts";
import byColumns from "../fixtures/hqq_columns.json" with { type: "json" };
import reference from "../fixtures/hqq_reference.json" with { type: "json" };
import { createLayerFixture, normalMatrix } from "./_fixture.ts";

const { layer: { weight }, calibration } = createLayerFixture({
  inputs: 128,
  outputs: 64,
  weights: "t4",
  tokens: 8,
});

const meanAbs = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, v, i) => sum + Math.abs(v - b[i]), 0) / a.length;

Deno.test("hqq() lowers the error step by step and keeps the best", () => {
  for (const bits of [2, 3, 4]) {
    const { errors, weight: rounded } = hqq(weight, { bits, roundZero: false });
    for (let i = 1; i < errors.length - 1; i++) assertLess(errors[i], errors[i - 1]);
    // Storing scale and zero as float16 moves the error a little.
    assertAlmostEquals(meanAbs(weight.data, rounded.data) / Math.min(...errors), 1, 0.01);
    assert(Math.min(...errors) <= errors[0]);
  }
});

Deno.test("hqq() beats plain rounding on heavy-tailed weights", () => {
  for (const bits of [2, 3, 4]) {
    const grid = integerGrid({ bits, mapping: "asym" });
    const plain = nearestRounder({ grid, groupSize: 64 }).round(weight, {
      calibration,
      outliers: new Uint32Array(0),
    });
    const ratio = meanAbs(weight.data, hqq(weight, { bits, roundZero: true }).weight.data) /
      meanAbs(weight.data, plain.weight.data);
    assertLess(ratio, 0.98);
  }
});

Deno.test("hqq() decodes to the weights it returns and repeats itself", () => {
  const result = hqq(weight, { bits: 3, groupSize: 50 });
  assertEquals(hqq(weight, { bits: 3, groupSize: 50 }), result);
  const groups = Math.ceil(weight.cols / 50);
  for (let i = 0; i < weight.data.length; i++) {
    const group = Math.floor(i / weight.cols) * groups + Math.floor(i % weight.cols / 50);
    const value = (result.codes[i] - result.zeros[group]) * result.scales[group];
    assertAlmostEquals(result.weight.data[i], value, 1e-7);
  }
});

Deno.test("hqq() agrees with the authors' package", () => {
  const { rows, cols, groupSize } = reference;
  const source = createMatrix(rows, cols, Float32Array.from(reference.weight));
  for (const { bits, roundZero, codes, scales, zeros, error } of reference.cases) {
    const ours = hqq(source, { bits, roundZero, groupSize });
    assertAlmostEquals(Math.min(...ours.errors) / error, 1, 1e-5);
    ours.zeros.forEach((zero, g) =>
      assertAlmostEquals(zero, zeros[g], 2e-3 * Math.max(1, Math.abs(zeros[g])))
    );
    ours.scales.forEach((scale, g) => assertAlmostEquals(scale / scales[g], 1, 5e-4));
    // Ours are computed with the stored float16 parameters, so that they fit them; near-ties may differ by one.
    const equal = ours.codes.reduce((sum, code, i) => sum + (code === codes[i] ? 1 : 0), 0);
    assert(equal >= 0.99 * codes.length, `${equal} of ${codes.length} codes are theirs`);
  }
});

/** The weight of the fixture, and the relative output error on independent inputs that are large where it is small. */
function smallColumns(): { source: Matrix; outputError(rounded: Matrix): number } {
  const { rows, cols, smallColumns, factor } = byColumns;
  const source = createMatrix(rows, cols, floatsOf(byColumns.weight));
  const gain = (i: number) => smallColumns.includes(i % cols) ? factor : 1;
  const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, w, i) => sum + (w * gain(i)) ** 2, 0));
  return {
    source,
    outputError: (rounded) => norm(source.data.map((w, i) => w - rounded.data[i])) / norm(source.data),
  };
}

Deno.test("hqq() agrees with the authors' package on groups of outputs, and on the harm of groups of inputs", () => {
  const { source, outputError } = smallColumns();
  for (const { bits, axis, codes, scales, zeros, error, outputError: theirError } of byColumns.cases) {
    const groupAxis = axis === 0 ? "outputs" : "inputs";
    const ours = hqq(source, { bits, groupSize: byColumns.groupSize, groupAxis });
    assertAlmostEquals(Math.min(...ours.errors) / error, 1, 1e-5);
    const [theirScales, theirZeros] = [floatsOf(scales), floatsOf(zeros)];
    ours.scales.forEach((scale, g) => assertAlmostEquals(scale / theirScales[g], 1, 5e-4));
    ours.zeros.forEach((zero, g) =>
      assertAlmostEquals(zero, theirZeros[g], 2e-3 * Math.max(1, Math.abs(theirZeros[g])))
    );
    const theirCodes = bytesOf(codes);
    const equal = ours.codes.reduce((sum, code, i) => sum + (code === theirCodes[i] ? 1 : 0), 0);
    assert(equal >= 0.995 * theirCodes.length, `${equal} of ${theirCodes.length} codes are theirs`);
    assertAlmostEquals(outputError(ours.weight) / theirError, 1, 0.02);
  }
});

Deno.test("hqq() in groups of outputs beats plain rounding where columns differ in size, in groups of inputs it loses", () => {
  const { source, outputError } = smallColumns();
  for (const bits of [4, 3]) {
    const plain = nearestRounder({ grid: integerGrid({ bits, mapping: "asym" }), groupSize: 32 })
      .round(source, { calibration, outliers: new Uint32Array(0) });
    const error = (groupAxis: "inputs" | "outputs") =>
      outputError(hqq(source, { bits, groupSize: 32, groupAxis }).weight);
    assertLess(error("outputs"), 0.7 * outputError(plain.weight));
    assertLess(outputError(plain.weight), 0.6 * error("inputs"));
  }
});

Deno.test("hqq() decodes groups of outputs, ragged ones included", () => {
  const source = normalMatrix(50, 6, 4);
  const { codes, zeros, scales, weight: rounded } = hqq(source, {
    bits: 3,
    groupSize: 16,
    groupAxis: "outputs",
  });
  assertEquals(scales.length, 4 * 6);
  for (let i = 0; i < source.data.length; i++) {
    const group = Math.floor(i / 6) % 4 * 6 + i % 6;
    assertAlmostEquals(rounded.data[i], (codes[i] - zeros[group]) * scales[group], 1e-7);
  }
});

Deno.test("hqq() takes zeros and constants and rejects bad input", () => {
  for (const constant of [0, 2, -1e-6]) {
    const result = hqq(createMatrix(1, 4, new Float32Array(4).fill(constant)), { bits: 4 });
    result.weight.data.forEach((w) => assertAlmostEquals(w, constant, 2e-3 * Math.abs(constant) + 1e-6));
  }
  assertThrows(() => hqq(normalMatrix(1, 4), { bits: 9 }), RangeError, "9 bits");
  assertThrows(() => hqq(createMatrix(1, 1, Float32Array.of(NaN)), { bits: 4 }), RangeError, "NaN");
});

Deno.test("hqq() lowers what it minimizes, the sum of |error|^0.7, by 2 to 5% below rounding", () => {
  const { layer } = createLayerFixture({ inputs: 256, outputs: 256, weights: "t4", tokens: 8 });
  const power = (rounded: Matrix) =>
    layer.weight.data.reduce((sum, w, i) => sum + Math.abs(w - rounded.data[i]) ** 0.7, 0);
  for (const [bits, bound] of [[2, 0.985], [3, 0.97], [4, 0.97]]) {
    const plain = nearestRounder({ grid: integerGrid({ bits, mapping: "asym" }), groupSize: 64 })
      .round(layer.weight, { calibration, outliers: new Uint32Array(0) });
    const ratio = power(hqq(layer.weight, { bits, roundZero: true }).weight) / power(plain.weight);
    assertLess(ratio, bound, `${bits} bits`);
    assert(ratio > 0.94, `${bits} bits: ${ratio}`);
  }
});
