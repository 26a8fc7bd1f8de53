import { assert, assertAlmostEquals, assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import { float8E4M3, float8E5M2, float8E8M0, nf4, q8_0 } from "@quik/quant/formats";
import {
  blockFormatActivations,
  blockFormatRounder,
  chooseQparams,
  composeMethod,
  createMatrix,
  formatActivations,
  formatRounder,
  perBlock,
  perChannel,
  perGroup,
  perTensor,
  perToken,
  powerOfTwoMapping,
} from "@quik/quant/quant";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

const { layer, inputs, calibration } = createLayerFixture({ inputs: 80, outputs: 40, outliers: 2 });
const { weight } = layer;
const none = new Uint32Array(0);

Deno.test("float8 scales of finer blocks never exceed the tensor's", () => {
  const options = { format: float8E4M3 };
  const [tensor] = chooseQparams(weight, { ...options, granularity: perTensor() }).scale;
  for (const granularity of [perChannel(), perGroup(32), perBlock(16, 16)]) {
    for (const scale of chooseQparams(weight, { ...options, granularity }).scale) {
      assertLessOrEqual(scale, tensor);
    }
  }
});

Deno.test("float8 blocks multiply as DeepSeek-V3 does: products per block, then both scales", async () => {
  const block = 16;
  const method = composeMethod({
    name: "fp8-block",
    rounder: formatRounder({ format: float8E4M3, granularity: perBlock(block, block) }),
    activations: formatActivations({ format: float8E4M3, granularity: perGroup(block) }),
  });
  const quantized = await method.quantize(layer, calibration);
  const sw = chooseQparams(weight, { format: float8E4M3, granularity: perBlock(block, block) });
  const sx = chooseQparams(inputs, { format: float8E4M3, granularity: perGroup(block) });
  const blocks = 80 / block;
  const level = (v: number, scale: number) => float8E4M3.decode(float8E4M3.encode(v / scale));
  const output = quantized.forward(inputs);
  for (const [t, o] of [[0, 0], [3, 17], [100, 39]]) {
    let expected = 0;
    for (let k = 0; k < blocks; k++) {
      const [a, b] = [sx.scale[t * blocks + k], sw.scale[Math.floor(o / block) * blocks + k]];
      let sum = 0;
      for (let j = k * block; j < (k + 1) * block; j++) {
        sum += level(inputs.data[t * 80 + j], a) * level(weight.data[o * 80 + j], b);
      }
      expected += a * b * sum;
    }
    assertAlmostEquals(output.data[t * 40 + o], expected, 1e-4);
  }
  assertAlmostEquals(quantized.bitsPerWeight, 8 + 32 * 3 * 5 / (80 * 40), 1e-9);
});

Deno.test("float8 weight and activation error falls with finer scales and with more mantissa", async () => {
  const expected = product(inputs, weight);
  const error = async (
    format: typeof float8E4M3,
    granularity: ReturnType<typeof perToken>,
    isStatic = false,
  ) => {
    const rounder = formatRounder({ format, granularity: perChannel() });
    const activations = formatActivations({ format, granularity, static: isStatic });
    const quantized = await composeMethod({ name: "fp8", rounder, activations }).quantize(layer, calibration);
    return relativeError(expected, quantized.forward(inputs));
  };
  const token = await error(float8E4M3, perToken());
  assertLess(token, 0.05);
  assertLess(token, await error(float8E5M2, perToken()));
  assertAlmostEquals(await error(float8E4M3, perTensor()), await error(float8E4M3, perTensor(), true), 0.002);
});

Deno.test("formatActivations() static saturates beyond the calibrated maximum", () => {
  const quantize = formatActivations({ format: float8E4M3, static: true }).prepare(calibration);
  const largest = Math.max(...calibration.absmax);
  const output = quantize(createMatrix(1, 80, new Float32Array(80).fill(10 * largest)), none);
  for (const value of output.data) assertAlmostEquals(value / largest, 1, 1e-6);
});

Deno.test("powerOfTwoMapping gives the smallest power of two that saturates nothing", () => {
  const options = { format: float8E4M3, granularity: perGroup(16) };
  const exact = chooseQparams(weight, options).scale;
  const { scale } = chooseQparams(weight, {
    ...options,
    mapping: powerOfTwoMapping,
    scaleFormat: float8E8M0,
  });
  scale.forEach((value, i) => {
    assert(Number.isInteger(Math.log2(value)));
    assert(value >= exact[i] && value < 2 * exact[i], `${value} for ${exact[i]}`);
  });
  const power = createMatrix(1, 1, Float32Array.of(448 * 2 ** -9));
  assertEquals(chooseQparams(power, { format: float8E4M3, mapping: powerOfTwoMapping }).scale[0], 2 ** -9);
});

Deno.test("schemes leave outlier columns alone and do not count them", () => {
  const outliers = Uint32Array.of(1, 70);
  const rounders = [formatRounder({ format: nf4, granularity: perGroup(16) }), blockFormatRounder(q8_0)];
  const schemes = [
    formatActivations({ format: float8E4M3 }),
    formatActivations({ format: float8E4M3, static: true }),
    blockFormatActivations(q8_0),
  ];
  const quantizers = [
    ...rounders.map((rounder) => () => [rounder.round(weight, { calibration, outliers }).weight, weight]),
    ...schemes.map((scheme) => () => [scheme.prepare(calibration)(inputs, outliers), inputs]),
  ];
  for (const run of quantizers) {
    const [result, original] = run();
    for (let i = 0; i < original.data.length; i++) {
      if (outliers.includes(i % 80)) assertEquals(result.data[i], original.data[i]);
    }
    const error = relativeError(original, result);
    assert(error > 0 && error < 0.15, `${error}`);
  }
});

Deno.test("blockFormatRounder() pads ragged rows and counts whole blocks", () => {
  const { weight: rounded, storedBits } = blockFormatRounder(q8_0).round(weight, {
    calibration,
    outliers: none,
  });
  assertEquals(storedBits, 40 * 3 * 34 * 8);
  assertLess(relativeError(weight, rounded), 0.01);
});
