// One layer against torchao: its affine primitives, its HQQ, and its float8, MX and NVFP4 tensors as the layer's weight and
// inputs; see tests/fixtures/torchao_layers.json.
import { int4, int8, type NumberFormat, uint3, uint4 } from "@quik/quant/formats";
import {
  calibrate,
  chooseQparams,
  createMatrix,
  hqq,
  type MappingName,
  methods,
  perGroup,
  quantize,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import { bytesOf, floatsOf } from "../_base64.ts";
import reference from "../fixtures/torchao_layers.json" with { type: "json" };
import { relativeError } from "./_fixture.ts";

const { outputs, inputs, tokens, groupSize } = reference;
const weight = createMatrix(outputs, inputs, floatsOf(reference.weight));
const input = createMatrix(tokens, inputs, floatsOf(reference.input));

const grids: [keyof typeof reference.affine, NumberFormat, MappingName, number][] = [
  ["uint4 asym", uint4, "asym", groupSize],
  ["uint3 asym", uint3, "asym", groupSize],
  ["int4 sym-full", int4, "sym-full", groupSize],
  ["int8 sym-full", int8, "sym-full", inputs],
  ["int4 sym-no-clip", int4, "sym-no-clip", groupSize],
];

for (const [name, format, mapping, group] of grids) {
  Deno.test(`quantize() gives torchao's codes, scales and zero points for ${name}`, () => {
    const qparams = chooseQparams(weight, { format, mapping, granularity: perGroup(group) });
    const theirs = reference.affine[name];
    const scales = floatsOf(theirs.scales);
    // Theirs are products of float32 by a rounded reciprocal here and there: the last bit may differ.
    qparams.scale.forEach((scale, g) => assertAlmostEquals(scale / scales[g], 1, 2e-7));
    assertEquals(Float32Array.from(qparams.zeroPoint ?? scales.map(() => 0)), floatsOf(theirs.zeros));
    const codes = bytesOf(theirs.codes), sign = 2 ** (format.bits - 1);
    const ours = quantize(weight, qparams).codes;
    ours.forEach((code, i) => {
      const theirCode = codes[i] & (2 ** format.bits - 1);
      if (code === theirCode) return;
      // They multiply by 1 / scale where we divide: a tie, which the end of a sym-full range always is, may fall otherwise.
      const position = Math.abs(weight.data[i] / qparams.scale[Math.floor(i / group)]);
      assertAlmostEquals(position % 1, 0.5, 1e-5, `weight ${i}`);
      assertEquals(Math.abs((code ^ sign) - (theirCode ^ sign)), 1);
    });
  });
}

Deno.test("hqq() ends within 1% of torchao's error, whose solver is the older one", () => {
  for (const [bits, { scales, error }] of Object.entries(reference.hqq)) {
    // torchao keeps beta constant and rounds the first zero point at 4 bits only, as we do.
    const ours = hqq(weight, { bits: Number(bits), groupSize, kappa: 1 });
    const theirs = floatsOf(scales);
    ours.scales.forEach((scale, g) => assertAlmostEquals(scale / theirs[g], 1, 5e-4));
    assertAlmostEquals(
      Math.min(...ours.errors) / error,
      1,
      0.01,
      `${bits} bits: ${Math.min(...ours.errors)}, ${error}`,
    );
  }
});

for (const [name, { outputs: text }] of Object.entries(reference.layers)) {
  Deno.test(`${name} gives the outputs of torchao's tensors`, async () => {
    const layer = await methods[name].quantize({ name: "layer", weight }, calibrate(input));
    const theirs = createMatrix(tokens, outputs, floatsOf(text));
    const error = relativeError(theirs, layer.forward(input));
    assertLess(error, 1e-6, `${error}`);
    assert(theirs.data.some((y) => y !== 0));
  });
}
