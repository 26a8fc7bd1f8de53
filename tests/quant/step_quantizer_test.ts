import { assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import {
  createRandom,
  fakeQuantizeStep,
  fakeQuantizeStepBackward,
  initialStep,
  stepGradientScale,
} from "@quik/quant/quant";

const GRID = { scale: 0.5, qmin: -8, qmax: 7 };

Deno.test("fakeQuantizeStep() rounds ties to even and clamps", () => {
  const values = Float32Array.of(0.25, 0.75, -0.25, -0.75, 100, -100, 1.5);
  assertEquals(fakeQuantizeStep(values, GRID), Float32Array.of(0, 1, -0, -1, 3.5, -4, 1.5));
});

Deno.test("fakeQuantizeStepBackward() follows the case table of LSQ", () => {
  const values = Float32Array.of(-5, -4, 0.3, 3.5, 9);
  for (const [i, slope, passes] of [[0, -8, 0], [1, -8, 1], [2, 1 - 0.6, 1], [3, 7, 1], [4, 7, 0]]) {
    const gradient = new Float32Array(5);
    gradient[i] = 2;
    const result = fakeQuantizeStepBackward(values, gradient, GRID);
    assertAlmostEquals(result.scale, 2 * slope, 1e-6);
    assertEquals(result.values[i], 2 * passes);
  }
});

Deno.test("fakeQuantizeStepBackward() equals the finite difference with the rounding residual frozen", () => {
  // With d round(r) = dr, s * round(x / s) = x + s * (round(r0) - r0) has the step's derivative inside the range.
  const x = 1.37;
  const h = 1e-4;
  const residual = Math.round(x / GRID.scale) - x / GRID.scale;
  const frozen = (s: number) => x + s * residual;
  const numeric = (frozen(GRID.scale + h) - frozen(GRID.scale - h)) / (2 * h);
  const { scale } = fakeQuantizeStepBackward(Float32Array.of(x), Float32Array.of(1), GRID);
  assertAlmostEquals(scale, numeric, 1e-6);
});

Deno.test("fakeQuantizeStep() keeps values on the grid", () => {
  const values = Float32Array.from({ length: 16 }, (_, i) => (i - 8) * GRID.scale);
  assertEquals(fakeQuantizeStep(values, GRID), values);
});

Deno.test("gradient descent on the step reaches the brute-force best", () => {
  const { normal } = createRandom(4);
  const values = Float32Array.from({ length: 4096 }, normal);
  const range = { qmin: -8, qmax: 7 };
  const loss = (scale: number) => {
    const quantized = fakeQuantizeStep(values, { scale, ...range });
    return quantized.reduce((sum, q, i) => sum + (q - values[i]) ** 2, 0) / values.length;
  };
  let best = Infinity;
  for (let s = 0.1; s < 0.8; s += 0.002) best = Math.min(best, loss(s));
  let scale = initialStep(values, range.qmax);
  for (let step = 0; step < 100; step++) {
    const quantized = fakeQuantizeStep(values, { scale, ...range });
    const gradient = quantized.map((q, i) => 2 * (q - values[i]));
    const gradients = fakeQuantizeStepBackward(values, gradient, { scale, ...range });
    scale -= 0.3 * gradients.scale * stepGradientScale(values.length, range.qmax) / Math.sqrt(values.length);
  }
  const absmax = values.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
  assertLess(loss(scale), best * 1.01);
  assertLess(loss(scale), loss(absmax / range.qmax));
});

Deno.test("fakeQuantizeStep() rejects a step that is not positive and lengths that differ", () => {
  assertThrows(() => fakeQuantizeStep(new Float32Array(1), { ...GRID, scale: 0 }), RangeError, "positive");
  assertThrows(
    () => fakeQuantizeStepBackward(new Float32Array(2), new Float32Array(1), GRID),
    RangeError,
    "Cannot pair",
  );
});
