import {
  binaryLevels,
  createRandom,
  gptq,
  gptqtCandidates,
  gptqtGrid,
  integerCoding,
  integerGrid,
  levelGrid,
  storedCoding,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertLess, assertThrows } from "@std/assert";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

const random = createRandom(8);
const values = Float32Array.from({ length: 64 }, () => random.normal());
const importance = Float64Array.from({ length: 64 }, () => random.uniform());

const score = (grid: { encode(v: number): number; decode(c: number): number }) =>
  values.reduce((sum, v, j) => sum + importance[j] * (v - grid.decode(grid.encode(v))) ** 2, 0);

Deno.test("gptqtCandidates() are codes among integers of one scale", () => {
  const { scale, zero } = integerGrid({ bits: 5, mapping: "asym", scaleBits: 32 }).fit(values);
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
    const plain = score(levelGrid(binaryLevels(storedCoding(integerCoding(values, bits)))));
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

Deno.test("GPTQT of as many intermediate bits as bits and one scale is GPTQ on the uniform grid", () => {
  for (const bits of [2, 3]) {
    // A candidate of integers 0..2^bits - 1 in steps of one has only one code left: the integers themselves.
    const uniform = gptqtCandidates(values, { bits, intermediateBits: bits, scales: 1 }, importance)
      .map((candidate) => [...binaryLevels(candidate)].sort((a, b) => a - b));
    const plain = [...binaryLevels(integerCoding(values, bits))].sort((a, b) => a - b);
    plain.forEach((level, i) => assertAlmostEquals(uniform.at(-1)![i], level, 1e-6));
    const { scale } = integerGrid({ bits, mapping: "asym" }).fit(values);
    // Every other candidate uses a subset of the same levels.
    for (const level of uniform[0]) {
      assert(plain.some((other) => Math.abs(other - level) < 1e-4 * scale), `${level} of ${plain}`);
    }
  }
});

Deno.test("gptqtCandidates() merge exactly: scale and zero point of the integers go into alpha and offset", () => {
  const { scale, zero } = integerGrid({ bits: 5, mapping: "asym", scaleBits: 32 }).fit(values);
  const [first] = gptqtCandidates(values, { bits: 3, scales: 1 }, importance);
  for (let code = 0; code < 8; code++) {
    // In integers: offset + sum of the signed alphas, then s * (integer - zero).
    let integer = first.offset / scale + zero;
    first.alpha.forEach((alpha, i) => integer += (code >> i & 1 ? 1 : -1) * alpha / scale);
    assertAlmostEquals(scale * (integer - zero), binaryLevels(first)[code], 1e-12);
    assertAlmostEquals(integer, Math.round(integer), 1e-9);
  }
});
