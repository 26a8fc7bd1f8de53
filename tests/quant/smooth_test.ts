import {
  calibrate,
  composeMethod,
  composeTransforms,
  createMatrix,
  foldIntoLinear,
  foldIntoNorm,
  integerGrid,
  logarithmicEqualization,
  logarithmicScale,
  type Matrix,
  methods,
  nearestRounder,
  percentileScale,
  percentileSmooth,
  perTensorActivations,
  perTokenActivations,
  scaleTransform,
  shiftTransform,
  smoothQuant,
  smoothScale,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

const { layer, inputs, calibration } = createLayerFixture({ outliers: 4 });
const { weight } = layer, { absmax } = calibration;
const output = product(inputs, weight);

const columnMaxima = ({ data, cols }: Matrix) => {
  const result = new Float32Array(cols);
  data.forEach((v, i) => result[i % cols] = Math.max(result[i % cols], Math.abs(v)));
  return result;
};

for (
  const finder of [smoothQuant(), smoothQuant({ alpha: 0.85 }), logarithmicEqualization(), percentileSmooth()]
) {
  Deno.test(`${finder.name} is a floating-point identity`, () => {
    const transform = finder.find(layer, calibration);
    assertLess(relativeError(output, product(transform.applyX(inputs), transform.applyW(weight))), 1e-5);
  });
}

Deno.test("smoothScale() equalizes activations at 1 and balances at 0.5", () => {
  const full = scaleTransform(smoothScale(absmax, [weight], { alpha: 1 }));
  columnMaxima(full.applyX(inputs)).forEach((x) => assertAlmostEquals(x, 1, 1e-5));
  const half = scaleTransform(smoothScale(absmax, [weight]));
  const ofWeights = columnMaxima(half.applyW(weight));
  columnMaxima(half.applyX(inputs)).forEach((x, c) => assertAlmostEquals(x / ofWeights[c], 1, 1e-5));
});

Deno.test("smoothScale() heeds every layer that shares the input", () => {
  const large = createMatrix(weight.rows, weight.cols, weight.data.map((w) => 4 * w));
  assertEquals(smoothScale(absmax, [weight, large]), smoothScale(absmax, [large]));
  assertThrows(() => smoothScale(absmax, [weight], { alpha: 2 }), RangeError, "alpha 2");
});

Deno.test("smoothQuant() lowers the error of W8A8, most between the extremes", async () => {
  const error = async (alpha: number) => {
    const method = composeMethod({
      name: "smooth",
      transforms: [smoothQuant({ alpha })],
      rounder: nearestRounder({ grid: integerGrid({ bits: 8 }) }),
      activations: perTokenActivations({ bits: 8 }),
    });
    return relativeError(output, (await method.quantize(layer, calibration)).forward(inputs));
  };
  const plain = relativeError(
    output,
    (await methods["rtn-w8a8"].quantize(layer, calibration)).forward(inputs),
  );
  const middle = await error(0.5);
  assertLess(middle, plain / 2);
  assertLess(middle, await error(0));
  assertLess(middle, await error(1));
});

Deno.test("logarithmicScale() brings every column to log2(2 + range)", () => {
  const ranges = Float32Array.of(0, 1e-6, 0.5, 3, 14, 150, 1e4);
  const scale = logarithmicScale(ranges);
  assertEquals(scale[0], 1);
  for (let c = 2; c < ranges.length; c++) {
    assertAlmostEquals(ranges[c] / scale[c] / Math.log2(2 + ranges[c]), 1, 1e-6);
    assert(scale[c] > scale[c - 1] && ranges[c] / scale[c] > 1);
  }
});

Deno.test("logarithmicEqualization() lowers the error of per-tensor activations", async () => {
  const errors = await Promise.all([[], [logarithmicEqualization()]].map(async (transforms) => {
    const method = composeMethod({
      name: "lae",
      transforms,
      rounder: nearestRounder({ grid: integerGrid({ bits: 8 }) }),
      activations: perTensorActivations({ bits: 8 }),
    });
    return relativeError(output, (await method.quantize(layer, calibration)).forward(inputs));
  }));
  assertLess(errors[1], errors[0] / 2);
});

Deno.test("percentileScale() touches only the largest columns", () => {
  const ranges = Float32Array.from({ length: 400 }, (_, c) => c === 7 ? 100 : c === 9 ? 50 : 1 + c / 400);
  const scale = percentileScale(ranges);
  // The third largest of 400 is the threshold: floor(0.005 * 400 + 1.5).
  const threshold = ranges[399];
  assertAlmostEquals(scale[7], 100 / threshold, 1e-5);
  assertAlmostEquals(scale[9], 50 / threshold, 1e-5);
  assertEquals(scale.filter((s) => s !== 1).length, 2);
  assertEquals(percentileScale(new Float32Array(3)), Float32Array.of(1, 1, 1));
});

Deno.test("foldIntoNorm() leaves the layer's output as it was", () => {
  const gain = absmax.map((_, c) => 1 + c / 64), bias = absmax.map((_, c) => c / 8 - 4);
  const scale = smoothScale(absmax, [weight]), shift = bias.map((b) => b / 3);
  const transform = composeTransforms([shiftTransform(shift), scaleTransform(scale)]);
  const normed = (norm: { weight: Float32Array; bias?: Float32Array }) =>
    createMatrix(
      inputs.rows,
      inputs.cols,
      inputs.data.map((x, i) => x * norm.weight[i % 64] + (norm.bias?.[i % 64] ?? 0)),
    );
  const expected = product(normed({ weight: gain, bias }), weight);
  const actual = product(
    normed(foldIntoNorm({ weight: gain, bias }, { scale, shift })),
    transform.applyW(weight),
  );
  const offset = transform.offset!(weight);
  actual.data.forEach((_, i) => actual.data[i] += offset[i % weight.rows]);
  assertLess(relativeError(expected, actual), 1e-5);
  assertEquals(foldIntoNorm({ weight: gain }, { scale }).bias, undefined);
});

Deno.test("foldIntoLinear() leaves the pair of layers as it was", () => {
  const previous = createLayerFixture({ inputs: 32, outputs: 64, seed: 9 });
  const bias = absmax.map((_, c) => c / 32);
  const scale = smoothScale(absmax, [weight]);
  const run = (w: Matrix, b: Float32Array) => {
    const hidden = product(previous.inputs, w);
    return createMatrix(hidden.rows, hidden.cols, hidden.data.map((h, i) => h + b[i % 64]));
  };
  const folded = foldIntoLinear({ weight: previous.layer.weight, bias }, { scale });
  const expected = product(run(previous.layer.weight, bias), weight);
  const actual = product(run(folded.weight, folded.bias!), scaleTransform(scale).applyW(weight));
  assertLess(relativeError(expected, actual), 1e-5);
  assertThrows(() => foldIntoNorm({ weight: new Float32Array(3) }, { scale }), RangeError, "3 features");
});

Deno.test("smoothing takes columns that were never active", () => {
  const quiet = createMatrix(2, 2, Float32Array.of(1, 0, -2, 0)),
    w = createMatrix(1, 2, Float32Array.of(0, 3));
  for (const finder of [smoothQuant(), logarithmicEqualization(), percentileSmooth()]) {
    const transform = finder.find({ name: "quiet", weight: w }, calibrate(quiet));
    assert(
      transform.applyX(quiet).data.every(Number.isFinite) && transform.applyW(w).data.every(Number.isFinite),
    );
  }
});

Deno.test("smoothQuant()'s error over alpha falls, then rises", async () => {
  const errors: number[] = [];
  for (const alpha of [0, 0.25, 0.5, 0.75, 1]) {
    const method = composeMethod({
      name: "smooth",
      transforms: [smoothQuant({ alpha })],
      rounder: nearestRounder({ grid: integerGrid({ bits: 8 }) }),
      activations: perTokenActivations({ bits: 8 }),
    });
    errors.push(relativeError(output, (await method.quantize(layer, calibration)).forward(inputs)));
  }
  const least = errors.indexOf(Math.min(...errors));
  assert(least > 0 && least < errors.length - 1, `${errors}`);
  for (let i = 1; i < errors.length; i++) assert(i <= least === errors[i] < errors[i - 1], `${errors}`);
});
