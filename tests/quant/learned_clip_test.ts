import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { createRandom, fakeQuantizeClipped, fakeQuantizeClippedBackward } from "@quik/quant/quant";

const RANGE = { low: -2, high: 1.75, bits: 4 };

Deno.test("fakeQuantizeClipped() divides the range into 2^bits - 1 steps", () => {
  const values = Float32Array.of(-9, -2, -1.9, 0.1, 1.75, 40);
  assertEquals(fakeQuantizeClipped(values, RANGE), Float32Array.of(-2, -2, -2, 0, 1.75, 1.75));
});

Deno.test("fakeQuantizeClippedBackward() gives clipped values to their end and splits the rest", () => {
  const { normal } = createRandom(3);
  const values = Float32Array.from({ length: 200 }, () => 1.5 * normal());
  for (let i = 0; i < values.length; i++) {
    const gradient = new Float32Array(values.length);
    gradient[i] = 1;
    const { values: byValue, low, high } = fakeQuantizeClippedBackward(values, gradient, RANGE);
    const inside = values[i] > RANGE.low && values[i] < RANGE.high;
    assertEquals(byValue[i], inside ? 1 : 0);
    assertAlmostEquals(low + high, inside ? 0 : 1, 1e-12);
  }
});

Deno.test("fakeQuantizeClippedBackward() equals finite differences with the rounding residual frozen", () => {
  const { normal } = createRandom(5);
  const values = Float32Array.from({ length: 50 }, normal);
  const gradient = Float32Array.from({ length: 50 }, normal);
  const steps = 2 ** RANGE.bits - 1;
  const residuals = Array.from(values, (x) => {
    const position = (x - RANGE.low) * steps / (RANGE.high - RANGE.low);
    return Math.round(position) - position;
  });
  const loss = (low: number, high: number) =>
    values.reduce((sum, x, i) => {
      const value = x >= RANGE.high ? high : x <= RANGE.low ? low : x + residuals[i] * (high - low) / steps;
      return sum + gradient[i] * value;
    }, 0);
  const h = 1e-4;
  const result = fakeQuantizeClippedBackward(values, gradient, RANGE);
  const { low, high } = RANGE;
  assertAlmostEquals(result.low, (loss(low + h, high) - loss(low - h, high)) / (2 * h), 1e-6);
  assertAlmostEquals(result.high, (loss(low, high + h) - loss(low, high - h)) / (2 * h), 1e-6);
});

Deno.test("fakeQuantizeClipped() rejects an empty range", () => {
  assertThrows(
    () => fakeQuantizeClipped(new Float32Array(1), { low: 1, high: 1, bits: 4 }),
    RangeError,
    "empty",
  );
});
