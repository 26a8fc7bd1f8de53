import { float16 } from "@quik/quant/formats";
import {
  INITIAL_LOGIT,
  integerGrid,
  learnRanges,
  methods,
  nearestRounder,
  roundInRange,
  roundInRangeBackward,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { createLayerFixture, normalMatrix, product, relativeError } from "./_fixture.ts";

const { layer, inputs, calibration } = createLayerFixture({ outliers: 2, weights: "t4" });
const { weight } = layer, output = product(inputs, weight);
const WIDE = { low: Infinity, high: Infinity };

Deno.test("roundInRange() without clipping is plain rounding", () => {
  const values = normalMatrix(1, 100).data;
  for (const bits of [2, 3, 4]) {
    const fitted = integerGrid({ bits, mapping: "asym" }).fit(values);
    const rounded = roundInRange(values, WIDE, bits);
    values.forEach((v, i) => assertAlmostEquals(rounded[i], fitted.decode(fitted.encode(v)), 1e-6));
  }
  assertEquals([...roundInRange([0, 0], WIDE, 4)].map(Math.abs), [0, 0]);
});

Deno.test("roundInRangeBackward() is the derivative with rounding residuals held fixed", () => {
  const values = normalMatrix(1, 60, 3).data, bits = 3, gradient = normalMatrix(1, 60, 4).data;
  const top = 2 ** bits - 1, min = Math.min(...values), max = Math.max(...values);
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  for (
    const at of [{ low: 0.5, high: 0.2 }, { low: 1.5, high: -0.3 }, {
      low: INITIAL_LOGIT,
      high: INITIAL_LOGIT,
    }]
  ) {
    const scaleAt = (low: number, high: number) => (sigmoid(high) * max - sigmoid(low) * min) / top;
    // Scales are stored in float16; residuals are those of the stored one.
    const s0 = float16.decode(float16.encode(scaleAt(at.low, at.high))), real0 = -sigmoid(at.low) * min / s0;
    const zeroResidual = Math.round(real0) - real0;
    const loss = (low: number, high: number) => {
      const s = scaleAt(low, high), zero = -sigmoid(low) * min / s + zeroResidual;
      return values.reduce((sum, w, i) => {
        const residual = Math.round(w / s0) - w / s0, level = Math.round(w / s0) + Math.round(real0);
        const rounded = level < 0 ? -s * zero : level > top ? s * (top - zero) : s * (w / s + residual);
        return sum + gradient[i] * rounded;
      }, 0);
    };
    const { low, high } = roundInRangeBackward(values, at, { bits, gradient });
    const h = 1e-5;
    assertAlmostEquals(low, (loss(at.low + h, at.high) - loss(at.low - h, at.high)) / (2 * h), 1e-5);
    assertAlmostEquals(high, (loss(at.low, at.high + h) - loss(at.low, at.high - h)) / (2 * h), 1e-5);
  }
});

Deno.test("learnRanges() starts from plain rounding and only improves", () => {
  for (const [bits, groupSize] of [[4, 64], [3, 16], [2, 32]]) {
    const { losses, weight: learned } = learnRanges(weight, {
      hessian: calibration.hessian,
      bits,
      groupSize,
    });
    for (let i = 1; i < losses.length; i++) assert(losses[i] <= losses[i - 1]);
    const grid = integerGrid({ bits, mapping: "asym" }),
      context = { calibration, outliers: new Uint32Array(0) };
    const plain = nearestRounder({ grid, groupSize }).round(weight, context).weight;
    const [before, after] = [plain, learned].map((w) => relativeError(output, product(inputs, w)));
    assertAlmostEquals((after / before) ** 2, losses.at(-1)! / losses[0], 1e-3);
    assertLess(after, 0.9 * before);
  }
});

Deno.test("learnRanges() rejects what it cannot do", () => {
  assertThrows(
    () => learnRanges(normalMatrix(2, 3), { hessian: calibration.hessian, bits: 4 }),
    RangeError,
    "3 inputs",
  );
});

Deno.test("OmniQuant's clipping beats plain rounding at the same bits", async () => {
  for (const bits of [4, 3, 2]) {
    const [ours, plain] = await Promise.all(
      [`omniquant-w${bits}`, `rtn-w${bits}`].map((name) => methods[name].quantize(layer, calibration)),
    );
    assertLess(relativeError(output, ours.forward(inputs)), relativeError(output, plain.forward(inputs)));
    assertEquals(ours.bitsPerWeight, plain.bitsPerWeight);
  }
});
