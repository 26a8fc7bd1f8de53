import {
  calibrate,
  createMatrix,
  integerGrid,
  methods,
  nearestRounder,
  perTokenActivations,
  searchEquivalence,
} from "@quik/quant/quant";
import { assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

const rounder = nearestRounder({ grid: integerGrid({ bits: 4 }) });
const activations = perTokenActivations({ bits: 4 });
const { layer, inputs, calibration } = createLayerFixture({ outliers: 3 });
const { weight } = layer, output = product(inputs, weight);

Deno.test("searchEquivalence() gives an identity, better than none by its own measure", () => {
  const { transform, candidates } = searchEquivalence(weight, calibration, {
    rounder,
    activations,
    tokens: 256,
  });
  const offset = transform.offset?.(weight) ?? new Float32Array(weight.rows);
  const same = product(transform.applyX(inputs), transform.applyW(weight));
  same.data.forEach((_, i) => same.data[i] += offset[i % weight.rows]);
  assertLess(relativeError(output, same), 1e-5);

  assertEquals(candidates.length, 20);
  assertEquals([candidates[0].alpha, candidates[0].shifted], [undefined, false]);
  const best = Math.min(...candidates.map(({ loss }) => loss));
  assertLess(best, 0.5 * candidates[0].loss);
});

Deno.test("searchEquivalence() measures what the quantized layer computes", async () => {
  const { candidates } = searchEquivalence(weight, calibration, { rounder, activations, tokens: 1000 });
  const plain = (await methods["rtn-w4a4"].quantize(layer, calibration)).forward(inputs);
  const error = plain.data.reduce((sum, y, i) => sum + (y - output.data[i]) ** 2, 0) / output.data.length;
  assertAlmostEquals(candidates[0].loss / error, 1, 1e-5);
});

Deno.test("searchEquivalence() shifts columns that lie off zero", () => {
  const plain = createLayerFixture({ seed: 2 }), { rows, cols, data } = plain.inputs;
  const moved = calibrate(createMatrix(rows, cols, data.map((x, i) => x + (i % 3 === 0 ? 10 : 0))));
  const { candidates } = searchEquivalence(plain.layer.weight, moved, { rounder, activations });
  const least = (flag: boolean) =>
    Math.min(...candidates.filter((c) => c.shifted === flag).map((c) => c.loss));
  assertLess(least(true), 0.7 * least(false));
});

Deno.test("OmniQuant W4A4 beats plain W4A4", async () => {
  const [ours, plain] = await Promise.all(
    ["omniquant-w4a4", "rtn-w4a4"].map((name) => methods[name].quantize(layer, calibration)),
  );
  assertLess(relativeError(output, ours.forward(inputs)), 0.6 * relativeError(output, plain.forward(inputs)));
});
