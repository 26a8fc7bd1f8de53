import {
  binaryLevels,
  createRandom,
  gptq,
  gptqtCandidates,
  gptqtGrid,
  integerCoding,
  integerGrid,
  levelGrid,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertLess, assertThrows } from "@std/assert";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

const random = createRandom(8);
const values = Float32Array.from({ length: 64 }, () => random.normal());
const importance = Float64Array.from({ length: 64 }, () => random.uniform());

const score = (grid: { encode(v: number): number; decode(c: number): number }) =>
  values.reduce((sum, v, j) => sum + importance[j] * (v - grid.decode(grid.encode(v))) ** 2, 0);

Deno.test("gptqtCandidates() are codes among integers of one scale", () => {
  const { scale, zero } = integerGrid({ bits: 5, mapping: "asym" }).fit(values);
  const candidates = gptqtCandidates(values, { bits: 3, scales: 7 }, importance);
  candidates.slice(0, 7).forEach((candidate, i) => {
    const s = scale * (0.5 + i / 6), z = Math.round(scale * zero / s);
    for (const level of binaryLevels(candidate)) {
      const integer = level / s + z;
      assertAlmostEquals(integer, Math.round(integer), 1e-9);
      assert(integer > -1e-9 && integer < 31 + 1e-9);
    }
  });
});

Deno.test("gptqtGrid() never does worse than integers of its bits, on what it weighs", () => {
  for (const bits of [2, 3, 4]) {
    const plain = score(levelGrid(binaryLevels(integerCoding(values, bits))));
    assertLess(score(gptqtGrid({ bits }).fit(values, importance)), plain);
    assert(score(gptqtGrid({ bits, intermediateBits: bits, scales: 1 }).fit(values, importance)) <= plain);
  }
  assertThrows(() => gptqtGrid({ bits: 4, intermediateBits: 3 }), RangeError, "4 bits");
});

Deno.test("GPTQT beats GPTQ on integers at 3 and 2 bits", () => {
  const { layer: { weight }, inputs, calibration: { hessian } } = createLayerFixture({ outliers: 2 });
  const output = product(inputs, weight);
  for (const bits of [3, 2]) {
    const [integers, codes] = [integerGrid({ bits, mapping: "asym" }), gptqtGrid({ bits })].map((grid) =>
      relativeError(output, product(inputs, gptq(weight, { hessian, grid }).weight))
    );
    assertLess(codes, integers);
  }
});
