import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { defineFloat, float4E2M1, float8E4M3, float8E5M2 } from "@quik/quant/formats";

Deno.test("float4E2M1 takes ties to the even code", () => {
  const table = [[0.25, 0], [0.75, 1], [1.25, 1], [1.75, 2], [2.5, 2], [3.5, 4], [5, 4], [5.1, 6], [7, 6]];
  for (const [value, expected] of table) {
    assertEquals(float4E2M1.decode(float4E2M1.encode(value)), expected);
    assertEquals(float4E2M1.decode(float4E2M1.encode(-value)), -expected);
  }
});

Deno.test("defineFloat() rounds ties away from zero when asked", () => {
  const away = defineFloat({ exponentBits: 2, mantissaBits: 1, specials: "none", rounding: "away" });
  const table = [[0.25, 0.5], [0.75, 1], [1.25, 1.5], [1.75, 2], [2.5, 3], [3.5, 4], [5, 6], [-0.25, -0.5]];
  for (const [value, expected] of table) assertEquals(away.decode(away.encode(value)), expected, `${value}`);
});

Deno.test("defineFloat() rounds stochastically without bias, repeatably by seed", () => {
  const draw = (seed: number): number[] => {
    const format = defineFloat({ exponentBits: 4, mantissaBits: 3, rounding: "stochastic", seed });
    return Array.from({ length: 20000 }, () => format.decode(format.encode(1.04)));
  };
  const values = draw(3);
  assertEquals(values, draw(3));
  assertEquals(values.every((v) => v === 1 || v === 1.125), true);
  // Standard error of the mean: 0.125 * sqrt(0.32 * 0.68 / 20000) = 4.1e-4; four of them.
  assertAlmostEquals(values.reduce((sum, v) => sum + v) / values.length, 1.04, 1.7e-3);
});

Deno.test("defineFloat() takes any bias", () => {
  const shifted = defineFloat({ exponentBits: 4, mantissaBits: 3, bias: 11, specials: "finite-nan" });
  for (let code = 0; code < 255; code++) {
    assertEquals(shifted.decode(code), float8E4M3.decode(code) / 16);
  }
  assertEquals(shifted.encode(1), float8E4M3.encode(16));
});

Deno.test("the relative error of normal values is within half a step", () => {
  for (
    const [format, bound, smallest] of [[float8E4M3, 1 / 17, 2 ** -6], [float8E5M2, 1 / 9, 2 ** -14]] as const
  ) {
    for (let value = smallest; value <= format.max; value *= 1.00137) {
      const error = Math.abs(format.decode(format.encode(value)) - value) / value;
      assertEquals(error <= bound * (1 + 1e-12), true, `${format.name} of ${value}: ${error}`);
    }
  }
});

Deno.test("defineFloat() throws on impossible layouts", () => {
  assertThrows(() => defineFloat({ exponentBits: 0, mantissaBits: 3 }), RangeError, "exponentBits");
  assertThrows(() => defineFloat({ exponentBits: 9, mantissaBits: 3 }), RangeError, "exponentBits");
  assertThrows(() => defineFloat({ exponentBits: 8, mantissaBits: 8 }), RangeError, "mantissaBits");
  assertThrows(() => defineFloat({ exponentBits: 3, mantissaBits: 0 }), RangeError, "IEEE specials");
  assertThrows(() => defineFloat({ exponentBits: 3, mantissaBits: 2, bias: 0.5 }), RangeError, "bias");
});

Deno.test("every byte of the float8 formats survives decoding and encoding, NaN as some NaN", () => {
  for (const format of [float8E4M3, float8E5M2]) {
    let finite = 0, last = -Infinity;
    for (let code = 0; code < 256; code++) {
      const value = format.decode(code);
      const back = format.encode(value, { saturate: false });
      if (Number.isNaN(value)) assertEquals(Number.isNaN(format.decode(back)), true);
      else assertEquals(back, code, `${format.name} code ${code}`);
      if (code < 128 && Number.isFinite(value)) {
        assertEquals(value > last, true, "codes of positive values ascend");
        [finite, last] = [finite + 1, value];
      }
    }
    assertEquals(finite, format === float8E4M3 ? 127 : 124);
  }
});
