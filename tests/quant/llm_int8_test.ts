import { createMatrix, llmInt8, methods, outlierFeatures } from "@quik/quant/quant";
import { assertEquals, assertLess } from "@std/assert";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

const { layer, inputs, calibration, outlierChannels } = createLayerFixture({ outliers: 3 });
const output = product(inputs, layer.weight);

Deno.test("outlierFeatures() finds the columns that some token makes large", () => {
  assertEquals([...outlierFeatures(inputs, { threshold: 12 })], outlierChannels);
  assertEquals(outlierFeatures(inputs, { threshold: Infinity }).length, 0);
  const quiet = createMatrix(1, 3, Float32Array.of(0, 1e-9, 0));
  assertEquals(outlierFeatures(quiet, { threshold: 0 }), Uint32Array.of(1));
});

Deno.test("llmInt8() without a threshold is plain vector-wise int8", async () => {
  const plain = await methods["rtn-w8a8"].quantize(layer, calibration);
  const mixed = await llmInt8({ threshold: Infinity }).quantize(layer, calibration);
  assertEquals(mixed.forward(inputs), plain.forward(inputs));
  assertEquals(mixed.bitsPerWeight, plain.bitsPerWeight);
});

Deno.test("llmInt8() with a threshold of 0 multiplies unquantized inputs by dequantized weights", async () => {
  const mixed = await llmInt8({ threshold: 0 }).quantize(layer, calibration);
  assertLess(relativeError(product(inputs, mixed.terms![0].weight), mixed.forward(inputs)), 1e-6);
});

Deno.test("llmInt8() cuts the error of int8 where there are outliers", async () => {
  const error = async (threshold: number) => {
    const quantized = await llmInt8({ threshold }).quantize(layer, calibration);
    return relativeError(output, quantized.forward(inputs));
  };
  assertLess(await error(12), 0.5 * await error(Infinity));
});
