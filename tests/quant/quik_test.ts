// QUIK's weights against the authors' simulation and the hand-computed vectors of the method.
import {
  baseColumns,
  calibrate,
  composeMethod,
  createMatrix,
  dequantizeQuik,
  hessianOf,
  integerGrid,
  type Matrix,
  nearestRounder,
  outlierColumns,
  perTokenActivations,
  quikMethod,
  quikWeights,
  selectOutlierColumns,
} from "@quik/quant/quant";
import { quikBitsPerWeight } from "@quik/quant/ops";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { normalMatrix, product, relativeError } from "./_fixture.ts";
import { readGoldenLayer } from "./_golden.ts";

/** The activation form of the authors' simulation. */
function simulateActivations(input: Matrix, outliers: Uint32Array, bits: number): Matrix {
  const scheme = perTokenActivations({ bits, mapping: "asymmetric_integer" });
  return scheme.prepare(calibrate(input))(input, outliers);
}

function equalFraction(a: Matrix, b: Matrix, base: Uint32Array, scales: Float32Array): number {
  let equal = 0;
  for (let r = 0; r < a.rows; r++) {
    for (const c of base) {
      if (Math.abs(a.data[r * a.cols + c] - b.data[r * a.cols + c]) < 0.01 * scales[r]) equal++;
    }
  }
  return equal / (a.rows * base.length);
}

for (const name of ["w4a4", "w4a4_clip", "w4a4_nooutliers", "w8a8"]) {
  Deno.test(`quikWeights() agrees with the authors' simulation on ${name}`, async () => {
    const golden = await readGoldenLayer(name);
    const { bits, clip, absmax, weight, input, scales } = golden;
    const { absmax: ownAbsmax, hessian } = calibrate(input);
    assertEquals(ownAbsmax, absmax);
    const outliers = selectOutlierColumns(absmax, { count: golden.outliers.length });
    assertEquals(outliers, golden.outliers);
    const base = baseColumns(weight.cols, outliers);

    const nearest = quikWeights(weight, { bits, clip, absmax, outliers, rounding: "nearest" });
    nearest.scales.forEach((scale, r) => assertAlmostEquals(scale / scales[r], 1, 1e-6));
    assertEquals(equalFraction(dequantizeQuik(nearest), golden.rounded, base, scales), 1);

    // The authors' sort is not stable: with their order the weights are theirs; with ours a near-tie may fall otherwise
    // after columns of equal absmax, and the row behind it differs while its error does not.
    const theirOrder = quikWeights(weight, { bits, clip, absmax, outliers, hessian, order: golden.order });
    const equal = equalFraction(dequantizeQuik(theirOrder), golden.gptq, base, scales);
    assert(equal >= 0.999, `only ${equal} of the weights are the authors'`);

    const ours = quikWeights(weight, { bits, clip, absmax, outliers, hessian });
    ours.scales.forEach((scale, r) => assertAlmostEquals(scale / scales[r], 1, 1e-6));
    const dequantized = dequantizeQuik(ours);
    assert(equalFraction(dequantized, golden.gptq, base, scales) >= 0.98);
    const quantizedInput = simulateActivations(input, outliers, bits);
    const error = relativeError(golden.outputFloat, product(quantizedInput, dequantized));
    const theirs = relativeError(golden.outputFloat, golden.output);
    assertAlmostEquals(error / theirs, 1, 0.02);
  });
}

Deno.test("quikWeights() computes the whole layer of the hand-made vector", () => {
  const weight = createMatrix(2, 6, Float32Array.of(3.5, 1, -1.5, .5, 2, 7, -1, .25, .5, 1.75, -.5, -.25));
  const outliers = Uint32Array.of(1, 4);
  const quik = quikWeights(weight, {
    absmax: new Float32Array(6),
    outliers,
    clip: false,
    rounding: "nearest",
  });
  assertEquals(quik.codes, Int8Array.of(4, -2, 0, 7, -4, 2, 7, -1));
  assertEquals(quik.scales, Float32Array.of(1, 0.25));
  assertEquals(quik.reduced, Float32Array.of(9, 1));
  assertEquals(quik.baseIndices, Uint32Array.of(0, 2, 3, 5));
  assertEquals(quik.outlierWeight.data, Float32Array.of(1, 2, 0.25, -0.5));
});

Deno.test("QUIK as a recipe gives the whole layer of the hand-made vector", async () => {
  const weight = createMatrix(2, 6, Float32Array.of(3.5, 1, -1.5, .5, 2, 7, -1, .25, .5, 1.75, -.5, -.25));
  const input = createMatrix(2, 6, Float32Array.of(-1, 6, .5, 2, -9, 2.75, .25, -4, 4, 1, 8, 1.5));
  const method = composeMethod({
    name: "quik",
    split: outlierColumns({ count: 2 }),
    rounder: nearestRounder({ grid: integerGrid({ bits: 4 }) }),
    activations: perTokenActivations({ bits: 4, mapping: "asymmetric" }),
  });
  const layer = { name: "layer", weight, bias: Float32Array.of(0.5, -1) };
  const quantized = await method.quantize(layer, calibrate(input));
  assertEquals(quantized.forward(input).data, Float32Array.of(2.75, 9.0625, 16, -2.875));
});

Deno.test("quikMethod() stores what a QUIK layer stores, 8 bits and wider outliers in down projections", async () => {
  const { weight, input, absmax } = await readGoldenLayer("w4a4");
  const method = quikMethod({ name: "quik", bits: 4, outliers: 6 });
  for (const [name, bits, count] of [["mlp.up_proj", 4, 6], ["mlp.down_proj", 8, 12]] as const) {
    const calibration = calibrate(input);
    const quantized = await method.quantize({ name, weight }, calibration);
    const outliers = selectOutlierColumns(absmax, { count });
    const weights = quikWeights(weight, { bits, absmax, outliers, hessian: calibration.hessian });
    assertAlmostEquals(quantized.bitsPerWeight, quikBitsPerWeight(weights), 1e-12);
    assertEquals(quantized.terms![0].weight, dequantizeQuik(weights));
  }
});

/** Inputs of low rank with noise and a few columns thirty times as large. */
function outlierInputs(rows: number, cols: number, options: { outliers: number; seed: number }): Matrix {
  const rank = cols / 4, basis = normalMatrix(rank, cols, 77);
  const factors = normalMatrix(rows, rank, options.seed), noise = normalMatrix(rows, cols, options.seed + 1);
  const result = product(factors, transposed(basis));
  result.data.forEach((x, i) => {
    const column = i % cols, isOutlier = column % (cols / options.outliers) === 3;
    result.data[i] = (x / Math.sqrt(rank) + 0.3 * noise.data[i]) * (isOutlier ? 30 : 1);
  });
  return result;
}

function transposed({ data, rows, cols }: Matrix): Matrix {
  return createMatrix(
    cols,
    rows,
    Float32Array.from({ length: data.length }, (_, i) => data[(i % rows) * cols + Math.floor(i / rows)]),
  );
}

Deno.test("QUIK's outliers, clipping and GPTQ each lower the error on fresh inputs", () => {
  const weight = createMatrix(64, 128, normalMatrix(64, 128, 3).data.map((w) => 0.05 * w));
  const { absmax, hessian } = calibrate(outlierInputs(512, 128, { outliers: 8, seed: 10 }));
  const fresh = outlierInputs(512, 128, { outliers: 8, seed: 20 }), output = product(fresh, weight);
  const activations = perTokenActivations({ bits: 4, mapping: "asymmetric" }).prepare(calibrate(fresh));
  const error = (count: number, clip: boolean, rounding: "gptq" | "nearest") => {
    const outliers = selectOutlierColumns(absmax, { count });
    const quik = quikWeights(weight, { absmax, hessian, outliers, clip, rounding });
    return relativeError(output, product(activations(fresh, outliers), dequantizeQuik(quik)));
  };
  const full = error(8, true, "gptq");
  assertLess(10 * full, error(0, true, "gptq"));
  assertLess(5 * full, error(4, true, "gptq"));
  assertLess(full, error(8, false, "gptq"));
  assertLess(full, error(8, true, "nearest"));
  assertAlmostEquals(error(16, true, "gptq") / full, 1, 0.1);
});

Deno.test("quikWeights() rounds the GPTQ vector code by code", () => {
  const weight = createMatrix(2, 8);
  for (let r = 0; r < 2; r++) {
    for (let c = 0; c < 8; c++) weight.data[r * 8 + c] = Math.sin(1 + 3 * r + 1.3 * c);
  }
  const input = createMatrix(16, 8);
  for (let t = 0; t < 16; t++) {
    for (let c = 0; c < 8; c++) {
      const large = c === 2 || c === 5 ? 5 * Math.sin(t + 1) : 0;
      input.data[t * 8 + c] = Math.cos(0.7 * t + 0.9 * c * c) + large;
    }
  }
  const { absmax, hessian } = calibrate(input);
  const outliers = selectOutlierColumns(absmax, { count: 2 });
  assertEquals(outliers, Uint32Array.of(2, 5));
  // The vector's Hessian is 2 X^T X; ours is that over the number of tokens, so its loss is a sixteenth.
  const quik = quikWeights(weight, { absmax, hessian, outliers, clip: false });
  assertAlmostEquals(quik.scales[0], 0.14035037, 1e-8);
  assertAlmostEquals(quik.scales[1], 0.14270591, 1e-8);
  // In the order of rounding 1, 4, 7, 3, 6, 0 the codes are 5 0 -4 -7 4 6 and -6 2 4 7 -5 -5; here in natural order.
  assertEquals(quik.codes, Int8Array.of(6, 5, -7, 0, 4, -4, -5, -6, 7, 2, -5, 4));
  const expected = [-0.45304004, 0.94696890, 0.31397861, -0.88185906];
  quik.outlierWeight.data.forEach((value, i) => assertAlmostEquals(value, expected[i], 2e-7));
  assertAlmostEquals(16 * (quik.loss![0] + quik.loss![1]), 0.0592064025, 1e-7);
});

Deno.test("quikWeights() takes layers without outliers and of nothing but outliers", () => {
  const weight = createMatrix(2, 2, Float32Array.of(1, 2, 3, 4));
  const hessian = hessianOf(createMatrix(2, 2, Float32Array.of(1, 2, -1, 1)));
  const absmax = Float32Array.of(1, 2);
  for (const rounding of ["gptq", "nearest"] as const) {
    const all = quikWeights(weight, { absmax, hessian, outliers: Uint32Array.of(0, 1), rounding });
    assertEquals(dequantizeQuik(all), weight);
    assertEquals([all.codes.length, [...all.scales], [...all.reduced]], [0, [1, 1], [0, 0]]);
    const none = quikWeights(weight, { absmax, hessian, rounding, clip: false });
    assertEquals(none.outlierWeight.cols, 0);
    assertLess(relativeError(weight, dequantizeQuik(none)), 0.05);
  }
});

Deno.test("quikWeights() keeps a 2:4 pattern in the order of rounding", async () => {
  const { weight, input, absmax } = await readGoldenLayer("w4a4");
  const outliers = selectOutlierColumns(absmax, { count: 8 });
  const sparsity = { zeros: 2, of: 4 };
  const quik = quikWeights(weight, { absmax, hessian: hessianOf(input), outliers, sparsity });
  const order = [...quik.baseIndices].sort((a, b) => absmax[a] - absmax[b] || a - b);
  const position = order.map((column) => quik.baseIndices.indexOf(column));
  for (let r = 0; r < weight.rows; r++) {
    for (let k = 0; k < order.length; k += 4) {
      const kept = position.slice(k, k + 4).filter((b) => quik.codes[r * order.length + b] !== 0);
      assert(kept.length <= 2);
    }
  }
});

Deno.test("quikWeights() rejects what it cannot quantize", () => {
  const weight = createMatrix(1, 2, Float32Array.of(1, 2)), absmax = Float32Array.of(1, 1);
  assertThrows(() => quikWeights(weight, { absmax }), TypeError, "without a Hessian");
  assertThrows(() => quikWeights(weight, { absmax: Float32Array.of(1) }), RangeError, "2 input columns");
  const nan = createMatrix(1, 2, Float32Array.of(1, NaN));
  assertThrows(() => quikWeights(nan, { absmax, rounding: "nearest" }), RangeError, "NaN");
  const outliers = Uint32Array.of(1, 0);
  assertThrows(() => quikWeights(weight, { absmax, outliers, rounding: "nearest" }), RangeError, "ascend");
});
