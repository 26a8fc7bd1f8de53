import {
  binaryCodingGrid,
  binaryLevels,
  bitPlanes,
  createRandom,
  fitBinaryCoding,
  integerCoding,
  integerGrid,
  levelGrid,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";

const random = createRandom(6);
const values = Float32Array.from({ length: 96 }, () => random.normal());
const weights = Float64Array.from({ length: 96 }, () => random.uniform());

function error(levels: ArrayLike<number>, counted: ArrayLike<number> = new Float64Array(96).fill(1)): number {
  const grid = levelGrid(levels);
  return values.reduce((sum, v, i) => sum + counted[i] * (v - levels[grid.encode(v)]) ** 2, 0);
}

Deno.test("integerCoding() is the integer grid", () => {
  for (const bits of [2, 3, 4]) {
    const integers = integerGrid({ bits, mapping: "asym", scaleBits: 32 }).fit(values);
    binaryLevels(integerCoding(values, bits)).forEach((level, code) => {
      assertAlmostEquals(level, integers.scale * (code - integers.zero), 1e-6);
    });
  }
});

Deno.test("fitBinaryCoding() never does worse than the integers it starts from", () => {
  for (const counted of [undefined, weights]) {
    for (const bits of [1, 2, 3, 4]) {
      const start = error(binaryLevels(integerCoding(values, bits)), counted);
      let previous = start;
      for (const iterations of [1, 2, 4, 15]) {
        const coding = fitBinaryCoding(values, bits, {
          iterations,
          ...(counted ? { weights: counted } : {}),
        });
        const now = error(binaryLevels(coding), counted);
        assert(now <= previous * (1 + 1e-9));
        previous = now;
      }
      assertLess(previous, 0.95 * start);
    }
  }
});

Deno.test("fitBinaryCoding() can start greedily, and is exact on binary codes", () => {
  const exact = binaryLevels({ alpha: Float64Array.of(0.3, 1, 2.5), offset: 0.7 });
  for (const init of ["greedy", "uniform"] as const) {
    const levels = binaryLevels(fitBinaryCoding(values, 3, { init }));
    assertLess(error(levels), 0.06 * values.reduce((sum, v) => sum + v * v, 0));
  }
  const found = binaryLevels(fitBinaryCoding(exact, 3, { init: "greedy" })).toSorted();
  exact.toSorted().forEach((level, i) => assertAlmostEquals(level, found[i], 1e-6));
  const constant = binaryLevels(fitBinaryCoding([2, 2, 2], 2));
  assert(constant.some((level) => Math.abs(level - 2) < 1e-6));
  assertThrows(() => fitBinaryCoding(values, 9), RangeError, "9 bits");
});

Deno.test("bitPlanes() multiply to the dense product", () => {
  const bits = 3, n = values.length, coding = fitBinaryCoding(values, bits);
  const levels = binaryLevels(coding), grid = levelGrid(levels);
  const codes = Uint8Array.from(values, (v) => grid.encode(v)), planes = bitPlanes(codes, bits);
  const x = Float64Array.from({ length: n }, () => random.normal());
  let byPlanes = coding.offset * x.reduce((sum, v) => sum + v, 0);
  for (let i = 0; i < bits; i++) {
    for (let j = 0; j < n; j++) {
      const sign = planes[i * 3 + (j >> 5)] >>> (j & 31) & 1 ? 1 : -1;
      byPlanes += coding.alpha[i] * sign * x[j];
    }
  }
  assertAlmostEquals(byPlanes, x.reduce((sum, v, j) => sum + v * levels[codes[j]], 0), 1e-10);
  assertEquals(planes.length, 9);
});

Deno.test("binaryCodingGrid() weighs errors by importance", () => {
  const sharp = weights.map((w) => w ** 8);
  const fitted = binaryCodingGrid({ bits: 2 }).fit(values, sharp);
  const plain = binaryCodingGrid({ bits: 2 }).fit(values);
  const table = (grid: typeof fitted) => Array.from({ length: 4 }, (_, code) => grid.decode(code));
  assertLess(error(table(fitted), sharp), error(table(plain), sharp));
});
