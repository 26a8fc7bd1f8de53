import {
  calibrate,
  chooseActivationPolicy,
  createMatrix,
  fptq,
  integerGrid,
  nearestRounder,
} from "@quik/quant/quant";
import { assertEquals, assertLess } from "@std/assert";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

Deno.test("chooseActivationPolicy() switches at its limits", () => {
  assertEquals(chooseActivationPolicy(15), "static");
  assertEquals(chooseActivationPolicy(15.1), "equalized-static");
  assertEquals(chooseActivationPolicy(149.9), "equalized-static");
  assertEquals(chooseActivationPolicy(150), "dynamic-token");
  assertEquals(chooseActivationPolicy(3, { low: 1, high: 2 }), "dynamic-token");
});

Deno.test("fptq() treats activations by their range, and the treatments pay", async () => {
  const { layer, inputs, calibration } = createLayerFixture({ outliers: 3 });
  const output = product(inputs, layer.weight);
  // Eight-bit weights, so that the activations' treatment decides.
  const rounder = nearestRounder({ grid: integerGrid({ bits: 8 }) });
  const error = async (low: number, high: number) =>
    relativeError(output, (await fptq({ low, high, rounder }).quantize(layer, calibration)).forward(inputs));
  const [fixed, equalized, dynamic] = [await error(1e9, 1e9), await error(0, 1e9), await error(0, 0)];
  assertLess(equalized, fixed);
  assertLess(dynamic, fixed);
  assertEquals(await error(15, 150), equalized);
});

Deno.test("fptq() saturates what calibration did not see in static layers only", async () => {
  const weight = createMatrix(1, 2, Float32Array.of(1, 0)),
    seen = calibrate(createMatrix(1, 2, Float32Array.of(4, 1)));
  const input = createMatrix(1, 2, Float32Array.of(100, 1));
  const run = async (low: number, high: number) =>
    (await fptq({ low, high }).quantize({ name: "layer", weight }, seen)).forward(input).data[0];
  assertLess(Math.abs(await run(15, 150) - 4), 0.1);
  assertLess(Math.abs(await run(1, 2) - 100), 1);
});
