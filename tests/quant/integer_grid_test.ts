import { float16 } from "@quik/quant/formats";
import { type Grid, integerGrid, type IntegerMapping } from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { normalMatrix } from "./_fixture.ts";

const MAPPINGS: IntegerMapping[] = ["sym-restricted", "sym-full", "asym", "asym-raw"];

function errorOf(grid: Grid, values: Float32Array, exponent: number): number {
  const fitted = grid.fit(values);
  return values.reduce((sum, w) => sum + Math.abs(fitted.decode(fitted.encode(w)) - w) ** exponent, 0);
}

Deno.test("integerGrid() clips as the hand-made vectors do", () => {
  const exact = { scaleBits: 32 };
  const first = Float32Array.from({ length: 16 }, (_, j) => Math.sin(1.7 * j) * (j === 5 ? 4 : 1));
  const second = Float32Array.from({ length: 16 }, (_, j) => Math.sin(0.9 * j + 0.3));
  assertAlmostEquals(integerGrid({ ...exact, bits: 4 }).fit(first).scale, 0.45627835, 1e-7);
  assertAlmostEquals(integerGrid({ ...exact, bits: 4, clip: true }).fit(first).scale, 0.45171557, 1e-7);
  assertAlmostEquals(errorOf(integerGrid({ ...exact, bits: 4, clip: true }), first, 2.4), 0.08568583, 1e-6);
  assertAlmostEquals(errorOf(integerGrid({ ...exact, bits: 4 }), first, 2.4), 0.08657159, 1e-6);
  assertAlmostEquals(
    integerGrid({ ...exact, bits: 4, clip: { exponent: 2 } }).fit(first).scale,
    0.45627835,
    1e-7,
  );
  assertAlmostEquals(integerGrid({ ...exact, bits: 4, clip: true }).fit(second).scale, 0.13946305, 1e-7);
  assertAlmostEquals(errorOf(integerGrid({ ...exact, bits: 4, clip: true }), second, 2.4), 0.0027919, 1e-6);
  assertAlmostEquals(errorOf(integerGrid({ ...exact, bits: 4 }), second, 2.4), 0.00458143, 1e-6);
});

Deno.test("integerGrid() bounds the error by half a step and repeats itself", () => {
  const values = normalMatrix(1, 400).data;
  for (const mapping of MAPPINGS) {
    for (const bits of [2, 3, 4, 8]) {
      const fitted = integerGrid({ bits, mapping }).fit(values);
      for (const w of values) {
        const rounded = fitted.decode(fitted.encode(w));
        // A rounded zero point may cost half a step more at either end of the range.
        const bound = mapping.startsWith("asym") ? 1 : 0.5;
        assert(
          Math.abs(rounded - w) <= fitted.scale * (bound + 1e-6),
          `${mapping} ${bits}: ${w} became ${rounded}`,
        );
        assertEquals(fitted.decode(fitted.encode(rounded)), rounded);
      }
    }
  }
});

Deno.test("integerGrid() never does worse with a clip search, by its own measure", () => {
  for (const mapping of MAPPINGS) {
    for (const bits of [2, 3, 4]) {
      const values = normalMatrix(1, 64, bits).data;
      const plain = errorOf(integerGrid({ bits, mapping }), values, 2.4);
      assert(errorOf(integerGrid({ bits, mapping, clip: true }), values, 2.4) <= plain);
    }
  }
});

Deno.test("integerGrid() can weigh the errors of a clip search", () => {
  const values = Float32Array.of(1, 0.2, -0.15, 0.11, -0.07, 0.03);
  const clip = { weighted: true, exponent: 2 };
  const importance = Float64Array.of(0, 1, 1, 1, 1, 1);
  assertLess(
    integerGrid({ bits: 3, clip }).fit(values, importance).scale,
    0.5 * integerGrid({ bits: 3 }).fit(values).scale,
  );
});

Deno.test("integerGrid() takes zeros, constants and tiny ranges", () => {
  for (const mapping of MAPPINGS) {
    const grid = integerGrid({ bits: 4, mapping, clip: true, scaleBits: 32 });
    for (const constant of [0, 3, -3, 1e-42]) {
      const fitted = grid.fit(new Float32Array(5).fill(constant));
      const rounded = fitted.decode(fitted.encode(constant));
      assert(Number.isFinite(rounded) && fitted.scale > 0);
      if (mapping === "sym-restricted" || mapping === "asym") assertAlmostEquals(rounded, constant, 1e-6);
    }
    assertThrows(() => grid.fit(Float32Array.of(NaN)), RangeError, "NaN");
    assertThrows(() => grid.fit(Float32Array.of(1, NaN, -2)), RangeError, "NaN");
    assertThrows(() => grid.fit(Float32Array.of(1, Infinity)), RangeError, "infinite");
  }
  assertThrows(() => integerGrid({ bits: 9 }), RangeError, "2 to 8");
});

Deno.test("integerGrid() stores scales of 16 bits in float16, and computes codes with what it stores", () => {
  const values = normalMatrix(1, 64, 7).data;
  for (const mapping of MAPPINGS) {
    for (const clip of [false, true]) {
      const fitted = integerGrid({ bits: 4, mapping, clip }).fit(values);
      assertEquals(float16.decode(float16.encode(fitted.scale)), fitted.scale);
      const exact = integerGrid({ bits: 4, mapping, clip: false, scaleBits: 32 }).fit(values);
      if (!clip) assertAlmostEquals(fitted.scale / exact.scale, 1, 2 ** -11);
      for (const w of values) {
        const code = fitted.encode(w), rounded = fitted.decode(code);
        for (const other of [fitted.decode((code + 1) % 16), fitted.decode((code + 15) % 16)]) {
          assert(Math.abs(rounded - w) <= Math.abs(other - w), "no other code is nearer");
        }
      }
    }
    const tiny = integerGrid({ bits: 4, mapping }).fit(Float32Array.of(1e-12, -1e-12));
    assert(tiny.scale > 0 && Number.isFinite(tiny.decode(tiny.encode(1e-12))));
    const huge = integerGrid({ bits: 4, mapping }).fit(Float32Array.of(1e30, -1e30));
    assert(Number.isFinite(huge.decode(huge.encode(1e30))));
  }
});
