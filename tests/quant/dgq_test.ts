import {
  calibrate,
  createMatrix,
  dgq,
  dgqRounder,
  integerGrid,
  type Matrix,
  methods,
  nearestRounder,
  perTokenActivations,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { createLayerFixture, normalMatrix, product, relativeError } from "./_fixture.ts";

const { layer: { weight }, inputs, calibration } = createLayerFixture({ outliers: 2, weights: "t4" });
const { hessian } = calibration, groupSize = 16;
const result = dgq(weight, { hessian, groupSize });
const output = product(inputs, weight);

Deno.test("dgq() expands to int8 weights without overflow", () => {
  const groups = weight.cols / groupSize;
  for (let i = 0; i < weight.data.length; i++) {
    const row = Math.floor(i / weight.cols), group = row * groups + Math.floor(i % weight.cols / groupSize);
    const product = result.groupScales[group] * (result.codes[i] - result.zeros[group]);
    assert(Math.abs(product) <= 127 && result.codes[i] <= 15 && result.groupScales[group] >= 1);
    assertEquals(result.integers[i], product);
    assertEquals(result.weight.data[i], Math.fround(product * result.scales[row]));
  }
});

Deno.test("dgq()'s integer product equals the float one", () => {
  const codes = normalMatrix(3, weight.cols).data.map((v) => Math.round(30 * v));
  for (let t = 0; t < 3; t++) {
    for (let r = 0; r < weight.rows; r++) {
      let accumulator = 0, float = 0;
      for (let c = 0; c < weight.cols; c++) {
        accumulator += codes[t * weight.cols + c] * result.integers[r * weight.cols + c];
        float += codes[t * weight.cols + c] * result.weight.data[r * weight.cols + c];
      }
      assertAlmostEquals(accumulator * result.scales[r], float, 1e-4 * Math.max(1, Math.abs(float)));
    }
  }
});

Deno.test("dgq() is close to float group scales and below a scale per row", () => {
  const grid = integerGrid({ bits: 4, mapping: "asym" }),
    context = { calibration, outliers: new Uint32Array(0) };
  const error = (w: Matrix) => relativeError(output, product(inputs, w));
  const ours = error(result.weight);
  assertLess(ours, 1.1 * error(nearestRounder({ grid, groupSize }).round(weight, context).weight));
  assertLess(ours, 0.9 * error(nearestRounder({ grid }).round(weight, context).weight));
});

Deno.test("dgq() takes a shortlist without losing much", () => {
  const error = (w: Matrix) => relativeError(output, product(inputs, w));
  const full = error(dgq(weight, { hessian, groupSize, shortlist: 80 }).weight);
  assertAlmostEquals(error(result.weight) / full, 1, 0.05);
});

Deno.test("dgq() takes zeros, odd sizes and rejects bad input", () => {
  const odd = createMatrix(2, 5, Float32Array.of(0, 0, 0, 0, 0, 1, -2, 3, 4, 5));
  const quantized = dgq(odd, { hessian: calibrate(normalMatrix(9, 5)).hessian, groupSize: 2 });
  assertEquals([...quantized.weight.data.slice(0, 5)].map(Math.abs), [0, 0, 0, 0, 0]);
  assertLess(relativeError(odd, quantized.weight), 0.1);
  assertThrows(() => dgq(odd, { hessian }), RangeError, "5 inputs");
  const context = { calibration, outliers: Uint32Array.of(1) };
  assertThrows(() => dgqRounder().round(weight, context), TypeError, "outlier columns");
});

Deno.test("DGQ's method stays near 4-bit weights with float activations", async () => {
  const layer = { name: "layer", weight };
  const error = async (name: string) =>
    relativeError(output, (await methods[name].quantize(layer, calibration)).forward(inputs));
  assertLess(await error("dgq-w4a8"), 1.05 * await error("rtn-w4"));
  assertEquals(perTokenActivations({ bits: 8 }).bits, methods["dgq-w4a8"].activationBits);
});
