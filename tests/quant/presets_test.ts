// Methods built from rotations, branches, mixed blocks and float formats, on the shared layer fixture.
import { assert, assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import { hadamardFinder, learnedRotationFinder, methods, transformCalibration } from "@quik/quant/quant";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

const { layer, inputs, calibration } = createLayerFixture({
  inputs: 128,
  outputs: 96,
  tokens: 256,
  outliers: 3,
});
const expected = product(inputs, layer.weight);

/** Relative output error and bits of a method on the fixture. */
async function measure(name: string): Promise<{ error: number; bits: number }> {
  const quantized = await methods[name].quantize(layer, calibration);
  const output = quantized.forward(inputs);
  assert(quantized.terms, `${name} describes its terms`);
  return { error: relativeError(expected, output), bits: quantized.bitsPerWeight };
}

Deno.test("4-bit activations: branches, rotations, mixed blocks and fine blocks beat plain rounding severalfold", async () => {
  const plain = await measure("rtn-w4a4");
  const names = ["svdquant-w4a4", "svdquant-gptq-w4a4", "svdquant-nvfp4-w4a4", "fmpq-w4ax", "quarot-w4a4"];
  for (const name of [...names, "quarot-w4a4-rtn", "spinquant-w4a4", "quarot-mxfp4-w4a4"]) {
    const { error } = await measure(name);
    assertLess(error, 0.7 * plain.error, `${name}: ${error} against ${plain.error}`);
  }
});

Deno.test("rotation methods: GPTQ beats rounding, learning beats Hadamard, 8 bits are nearly exact", async () => {
  const [rounded, gptq, learned, eight] = await Promise.all(
    ["quarot-w4a4-rtn", "quarot-w4a4", "spinquant-w4a4", "quarot-w8a8-rtn"].map(measure),
  );
  assertLess(gptq.error, rounded.error);
  assertLess(learned.error, gptq.error);
  assertLess(eight.error, 0.015);
  assertAlmostEquals(gptq.bits, 4 + 16 / 128, 1e-9);
  assertAlmostEquals(learned.bits, gptq.bits + 16 * 32 / 96, 1e-9);
});

Deno.test("float and microscaling methods order as their formats do", async () => {
  const error = async (name: string) => (await measure(name)).error;
  assertLess(await error("fp8-w8"), await error("fp8-w8a8"));
  assertLess(await error("fp8-w8a8"), await error("fp8-e5m2-w8a8"));
  assertLess(await error("fp8-block-w8a8"), 0.04);
  assertLess(await error("fp8-tensor-w8a8"), 0.06);
  // E2M3 has as many mantissa bits as E4M3, and blocks of 32 need no more range.
  assertAlmostEquals(await error("mxfp8-w8a8"), await error("mxfp6-w6a6"), 0.005);
  assertLess(await error("mxfp6-w6a6"), await error("mxfp4-w4a8"));
  assertLess(await error("mxfp4-w4"), await error("mxfp4-w4a8"));
  assertLess(await error("mxfp4-w4a8"), await error("mxfp4-w4a4"));
  assertLess(await error("nvfp4-w4"), await error("mxfp4-w4"));
  assertLess(await error("nvfp4-w4a4"), await error("mxfp4-w4a4"));
});

Deno.test("stored bits count scales, branches and headers", async () => {
  const bits = async (name: string) => (await measure(name)).bits;
  const count = 128 * 96;
  assertAlmostEquals(await bits("mxfp4-w4"), 4.25, 1e-9);
  assertAlmostEquals(await bits("nvfp4-w4"), 4.5 + 32 / count, 1e-9);
  assertAlmostEquals(await bits("fp8-w8"), 8 + 32 / 128, 1e-9);
  assertAlmostEquals(await bits("qlora-w4"), 4 + 8 / 64 + 32 / count + 32 / count, 1e-9);
  // Rank 4, float16 factors; smoothing of 128 inputs; float16 scales per 64.
  assertAlmostEquals(await bits("svdquant-w4a4"), 4 + 16 / 64 + 16 * (4 * (128 + 96) + 128) / count, 1e-9);
  assertAlmostEquals(await bits("loftq-w4") - await bits("qlora-w4"), 16 * 6 * (128 + 96) / count, 1e-9);
});

Deno.test("LoftQ beats its codebook alone, most of all at 2 bits", async () => {
  const [qlora, four, two] = await Promise.all(["qlora-w4", "loftq-w4", "loftq-w2"].map(measure));
  assertLess(four.error, qlora.error);
  assertLess(two.error, 0.6);
});

Deno.test("bits of activations are those of the tables", () => {
  const bits = (name: string) => [methods[name].weightBits, methods[name].activationBits ?? 16];
  assertEquals(bits("svdquant-w4a4"), [4, 4]);
  assertEquals(bits("fmpq-w4ax"), [4, 4]);
  assertEquals(bits("mxfp4-w4a8"), [4, 8]);
  assertEquals(bits("fp8-w8"), [8, 16]);
  assertEquals(bits("mxfp6-w6a6"), [6, 6]);
  assertEquals(bits("loftq-w2"), [2, 16]);
});

Deno.test("rotation finders are identities of the layer, wide layers included", () => {
  for (
    const finder of [
      hadamardFinder(),
      learnedRotationFinder({ steps: 5 }),
      learnedRotationFinder({ maxInputs: 64 }),
    ]
  ) {
    const transform = finder.find(layer, calibration);
    assertLess(
      relativeError(expected, product(transform.applyX(inputs), transform.applyW(layer.weight))),
      1e-5,
    );
    const rotated = transformCalibration(calibration, transform);
    assertLess(Math.max(...rotated.absmax), 0.6 * Math.max(...calibration.absmax));
  }
});
