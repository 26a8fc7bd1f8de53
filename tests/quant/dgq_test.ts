import { roundHalfEven } from "@quik/quant/formats";
import {
  calibrate,
  createMatrix,
  dgq,
  dgqGroupGrid,
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

Deno.test("dgqGroupGrid() never does worse on its group's output than plain rounding", () => {
  const rows = weight.rows, size = 16;
  for (let r = 0; r < rows; r++) {
    for (let start = 0; start < weight.cols; start += size) {
      const values = weight.data.slice(r * weight.cols + start, r * weight.cols + start + size);
      const fitted = dgqGroupGrid(values, { hessian, groupSize: size }, start);
      const plain = integerGrid({ bits: 4, mapping: "asym", scaleBits: 32 }).fit(values);
      const loss = (rounded: (w: number) => number) => {
        const change = Array.from(values, (w) => rounded(w) - w);
        let sum = 0;
        for (let i = 0; i < size; i++) {
          for (let j = 0; j < size; j++) {
            sum += change[i] * hessian.data[(start + i) * weight.cols + start + j] * change[j];
          }
        }
        return sum;
      };
      const level = (w: number) => Math.max(0, Math.min(15, roundHalfEven(w / fitted.scale) + fitted.zero));
      const ours = loss((w) => fitted.scale * (level(w) - fitted.zero));
      assert(ours <= loss((w) => plain.decode(plain.encode(w))) * (1 + 1e-4) + 1e-12);
    }
  }
});

Deno.test("dgq()'s int8 product is exact: integer sums are those of its codes, group by group", () => {
  const codes = normalMatrix(3, weight.cols).data.map((v) =>
    Math.max(-127, Math.min(127, Math.round(40 * v)))
  );
  const groups = weight.cols / groupSize;
  for (let t = 0; t < 3; t++) {
    for (let r = 0; r < weight.rows; r++) {
      let whole = 0, grouped = 0;
      for (let g = 0; g < groups; g++) {
        let sum = 0;
        for (let c = g * groupSize; c < (g + 1) * groupSize; c++) {
          const i = r * weight.cols + c;
          sum += codes[t * weight.cols + c] * (result.codes[i] - result.zeros[r * groups + g]);
          whole += codes[t * weight.cols + c] * result.integers[i];
        }
        grouped += result.groupScales[r * groups + g] * sum;
      }
      assertEquals(whole, grouped);
    }
  }
});
