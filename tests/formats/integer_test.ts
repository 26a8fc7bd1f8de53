import { assertEquals, assertThrows } from "@std/assert";
import { defineInteger, int2, int3, int4, int8, uint2, uint3, uint4, uint8 } from "@quik/quant/formats";

Deno.test("integer formats encode every one of their codes' values to that code", () => {
  for (const format of [int2, int3, int4, int8, uint2, uint3, uint4, uint8]) {
    const values: number[] = [];
    for (let code = 0; code < 2 ** format.bits; code++) {
      assertEquals(format.encode(format.decode(code)), code, `${format.name} ${code}`);
      values.push(format.decode(code));
    }
    assertEquals(Math.min(...values), format.min);
    assertEquals(Math.max(...values), format.max);
  }
});

Deno.test("integer formats round ties to even, clamp, and take NaN and -0 to 0", () => {
  assertEquals([0.5, 1.5, 2.5, -0.5, -1.5, -2.5].map((v) => int4.decode(int4.encode(v))), [
    0,
    2,
    2,
    0,
    -2,
    -2,
  ]);
  assertEquals([-8.5, -9, -Infinity, 7.5, 8, 1e300, Infinity].map((v) => int4.decode(int4.encode(v))), [
    -8,
    -8,
    -8,
    7,
    7,
    7,
    7,
  ]);
  assertEquals([NaN, -0, 5e-324, -5e-324].map((v) => int8.encode(v)), [0, 0, 0, 0]);
  assertEquals(uint4.encode(-3), 0);
});

Deno.test("defineInteger() rounds away from zero or stochastically when asked", () => {
  const away = defineInteger({ bits: 4, signed: true, rounding: "away" });
  assertEquals([0.5, 2.5, -2.5].map((v) => away.decode(away.encode(v))), [1, 3, -3]);

  const draw = (seed: number): number[] => {
    const format = defineInteger({ bits: 8, signed: true, rounding: "stochastic", seed });
    return Array.from({ length: 4000 }, () => format.decode(format.encode(-2.25)));
  };
  const first = draw(7);
  assertEquals(first, draw(7));
  assertEquals(first.every((v) => v === -2 || v === -3), true);
  const mean = first.reduce((sum, v) => sum + v, 0) / first.length;
  assertEquals(Math.abs(mean + 2.25) < 0.03, true, `mean ${mean}`);
});

Deno.test("defineInteger() throws on widths out of range", () => {
  assertThrows(() => defineInteger({ bits: 0, signed: false }), RangeError, "Cannot define uint0");
  assertThrows(() => defineInteger({ bits: 1, signed: true }), RangeError, "from 2 to 16");
  assertThrows(() => defineInteger({ bits: 4.5, signed: true }), RangeError);
  assertThrows(() => defineInteger({ bits: 17, signed: false }), RangeError);
});
