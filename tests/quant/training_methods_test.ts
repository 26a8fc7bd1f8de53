import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import {
  createMatrix,
  createRandom,
  fakeQuantizeClipped,
  integerGrid,
  learnedClipActivations,
  learnRange,
  lsqRounder,
  type Matrix,
  methods,
  nearestRounder,
} from "@quik/quant/quant";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

const { layer: { weight }, inputs, calibration, layer } = createLayerFixture({ outputs: 64, outliers: 1 });
const expected = product(inputs, weight);
const none = new Uint32Array(0);
const context = { calibration, outliers: none };

/** Squared output error of each row. */
function rowErrors(rounded: Matrix): Float64Array {
  const output = product(inputs, rounded);
  const errors = new Float64Array(weight.rows);
  output.data.forEach((y, i) => errors[i % weight.rows] += (y - expected.data[i]) ** 2);
  return errors;
}

Deno.test("lsqRounder() without steps is rounding with clip search, and training never makes a row worse", () => {
  for (const bits of [4, 3, 2]) {
    const untrained = lsqRounder({ bits, steps: 0 }).round(weight, context);
    const searched = nearestRounder({ grid: integerGrid({ bits, clip: true }) }).round(weight, context);
    assertLess(relativeError(searched.weight, untrained.weight), 1e-6);
    const trained = lsqRounder({ bits }).round(weight, context);
    const [before, after] = [rowErrors(untrained.weight), rowErrors(trained.weight)];
    after.forEach((error, row) => assertLessOrEqual(error, before[row] * 1.0001));
    const sum = (errors: Float64Array) => errors.reduce((a, b) => a + b);
    assertLess(sum(after), 0.95 * sum(before));
    assertEquals(trained.storedBits, 64 * (64 * bits + 16));
  }
});

Deno.test("lsqRounder() rounds to few levels per group and keeps outlier columns", () => {
  const { weight: rounded } = lsqRounder({ bits: 2, groupSize: 24 }).round(weight, {
    calibration,
    outliers: Uint32Array.of(3, 40),
  });
  for (let row = 0; row < weight.rows; row++) {
    for (const [start, end] of [[0, 24], [24, 48], [48, 64]]) {
      const values = [];
      for (let c = start; c < end; c++) {
        if (c === 3 || c === 40) assertEquals(rounded.data[row * 64 + c], weight.data[row * 64 + c]);
        else values.push(rounded.data[row * 64 + c]);
      }
      assert(new Set(values.map((v) => v + 0)).size <= 4);
    }
  }
  assertThrows(() => lsqRounder({ bits: 1 }), RangeError, "2 to 8");
});

Deno.test("learnRange() clips a few large values away and is never worse than the full range", () => {
  const { normal } = createRandom(3);
  const values = Float32Array.from({ length: 4000 }, () => normal());
  values[7] = 12;
  const loss = (low: number, high: number) =>
    fakeQuantizeClipped(values, { low, high, bits: 4 }).reduce((sum, q, i) => sum + (q - values[i]) ** 2, 0);
  const { low, high } = learnRange(values, { bits: 4 });
  const smallest = values.reduce((min, v) => Math.min(min, v));
  assertLess(loss(low, high), 0.5 * loss(smallest, 12));
  let best = Infinity;
  for (let c = 1.5; c < 5; c += 0.05) best = Math.min(best, loss(-c, c));
  assertLess(loss(low, high), 1.1 * best);
  const ofZeros = learnRange(new Float32Array(4), { bits: 4 });
  assertEquals(fakeQuantizeClipped(new Float32Array(4), ofZeros), new Float32Array(4));
});

Deno.test("learnedClipActivations() saturates, leaves outlier columns alone and learns without them", () => {
  const outlier = calibration.absmax.indexOf(Math.max(...calibration.absmax));
  const quantize = learnedClipActivations({ bits: 8 }).prepare(calibration);
  const [whole, split] = [quantize(inputs, none), quantize(inputs, Uint32Array.of(outlier))];
  const withoutOutlier = (matrix: Matrix) =>
    createMatrix(matrix.rows, 64, matrix.data.map((v, i) => i % 64 === outlier ? 0 : v));
  assertLess(relativeError(withoutOutlier(inputs), withoutOutlier(split)), 0.03);
  assert(relativeError(withoutOutlier(inputs), withoutOutlier(whole)) > 0.03);
  for (let i = outlier; i < inputs.data.length; i += 64) assertEquals(split.data[i], inputs.data[i]);
  assertThrows(() => learnedClipActivations({ bits: 9 }), RangeError, "2 to 8");
});

Deno.test("training methods are methods", async () => {
  const lsq = await methods["lsq-w3"].quantize(layer, calibration);
  assertAlmostEquals(lsq.bitsPerWeight, 3 + 16 / 64, 1e-9);
  assertLess(relativeError(expected, lsq.forward(inputs)), 0.25);
  const clip = await methods["learned-clip-w4a8"].quantize(layer, calibration);
  assertLess(relativeError(expected, clip.forward(inputs)), 0.2);
});
