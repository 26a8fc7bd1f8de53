import {
  awqClip,
  awqScale,
  awqSearchScale,
  calibrate,
  composeMethod,
  createMatrix,
  integerGrid,
  methods,
  nearestRounder,
  scaleTransform,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import reference from "../fixtures/awq_reference.json" with { type: "json" };
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

const { layer, inputs, calibration } = createLayerFixture({ outliers: 4 });
const output = product(inputs, layer.weight);
const rounder = (bits: number, groupSize = 32) =>
  nearestRounder({ grid: integerGrid({ bits, mapping: "asym-raw" }), groupSize });

Deno.test("awqSearchScale() starts from plain rounding and never ends above it", () => {
  for (const bits of [2, 3, 4]) {
    const { losses, ratio, scale } = awqSearchScale(layer.weight, calibration, {
      rounder: rounder(bits),
      tokens: 256,
    });
    const rounded = rounder(bits).round(layer.weight, { calibration, outliers: new Uint32Array(0) }).weight;
    const plain = relativeError(output, product(inputs, rounded)) ** 2 *
      output.data.reduce((sum, y) => sum + y * y, 0) / output.data.length;
    assertAlmostEquals(losses[0] / plain, 1, 1e-4);
    assertEquals(losses.length, 20);
    assertEquals(losses[Math.round(ratio * 20)], Math.min(...losses));
    assertAlmostEquals(Math.max(...scale) * Math.min(...scale), 1, 1e-5);
  }
});

Deno.test("awqScale() protects columns that meet large activations", async () => {
  const plain = composeMethod({ name: "rtn", rounder: rounder(3) });
  const scaled = composeMethod({
    name: "awq",
    transforms: [awqScale({ rounder: rounder(3) })],
    rounder: rounder(3),
  });
  const [before, after] = await Promise.all(
    [plain, scaled].map(async (method) =>
      relativeError(output, (await method.quantize(layer, calibration)).forward(inputs))
    ),
  );
  assertLess(after, 0.7 * before);
});

Deno.test("awqClip() never does worse than no clipping on a group's output", () => {
  const bits = 3, groupSize = 32, clipper = awqClip({ bits, groupSize });
  const clipped = clipper.clip(layer, calibration), round = rounder(bits, groupSize);
  const context = { calibration, outliers: new Uint32Array(0) };
  for (let start = 0; start < layer.weight.cols; start += groupSize) {
    const slice = (m: typeof inputs) => {
      const part = createMatrix(m.rows, groupSize);
      for (let r = 0; r < m.rows; r++) {
        part.data.set(m.data.subarray(r * m.cols + start, r * m.cols + start + groupSize), r * groupSize);
      }
      return part;
    };
    const x = slice(inputs), float = product(x, slice(layer.weight));
    const plain = product(x, slice(round.round(layer.weight, context).weight));
    const limited = product(x, slice(round.round(clipped, context).weight));
    for (let r = 0; r < layer.weight.rows; r++) {
      const error = (y: typeof float) => {
        let sum = 0;
        for (let t = r; t < y.data.length; t += y.cols) sum += (y.data[t] - float.data[t]) ** 2;
        return sum;
      };
      assert(error(limited) <= error(plain) * (1 + 1e-5));
    }
  }
});

Deno.test("awqClip() skips query and key projections", () => {
  assertEquals(awqClip({ bits: 3 }).clip({ ...layer, name: "self_attn.q_proj" }, calibration), layer.weight);
});

Deno.test("AWQ's searches agree with autoawq", () => {
  const { rows, cols, tokens, groupSize } = reference;
  const weight = createMatrix(rows, cols, Float32Array.from(reference.weight));
  const calibrated = calibrate(createMatrix(tokens, cols, Float32Array.from(reference.input)), {
    samples: tokens,
  });
  for (const { bits, losses, scale, clip } of reference.cases) {
    // The package keeps scales in float32.
    const grid = integerGrid({ bits, mapping: "asym-raw", scaleBits: 32 });
    const ours = awqSearchScale(weight, calibrated, { rounder: nearestRounder({ grid, groupSize }), tokens });
    ours.losses.forEach((loss, i) => assertAlmostEquals(loss / losses[i], 1, 1e-4));
    ours.scale.forEach((s, c) => assertAlmostEquals(s / scale[c], 1, 1e-5));
    const clipped = awqClip({ bits, groupSize, scaleBits: 32 }).clip({ name: "layer", weight }, calibrated);
    let equal = 0;
    clip.forEach((limit, group) => {
      const values = clipped.data.subarray(group * groupSize, (group + 1) * groupSize);
      if (Math.abs(values.reduce((m, w) => Math.max(m, Math.abs(w)), 0) - limit) < 1e-6) equal++;
    });
    // Limits whose errors tie in float32 may be picked differently.
    assert(equal >= 0.99 * clip.length, `${equal} of ${clip.length} limits are autoawq's`);
  }
});

Deno.test("AWQ's method beats plain rounding at the same bits", async () => {
  for (const bits of [4, 3]) {
    const errors = await Promise.all(
      [`awq-w${bits}`, `rtn-w${bits}`].map(async (name) =>
        relativeError(output, (await methods[name].quantize(layer, calibration)).forward(inputs))
      ),
    );
    assertLess(errors[0], errors[1]);
  }
  const transform = scaleTransform(awqSearchScale(layer.weight, calibration, { rounder: rounder(4) }).scale);
  assertLess(relativeError(output, product(transform.applyX(inputs), transform.applyW(layer.weight))), 1e-5);
});
