import {
  composeMethod,
  createMatrix,
  fromSparseRows,
  integerGrid,
  kMeansGrid,
  methods,
  nearestRounder,
  sparseMask,
  sparseSplit,
  toSparseRows,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { createLayerFixture, normalMatrix, product, relativeError } from "./_fixture.ts";

const { layer, inputs, calibration } = createLayerFixture({ outliers: 2, weights: "t4" });
const { weight } = layer;
const output = product(inputs, weight);

Deno.test("sparseMask() keeps the sensitive and the large, as many as asked", () => {
  const mask = sparseMask(weight, calibration.hessian, { sensitive: 0.01, largest: 0.02 });
  assertEquals(
    mask.reduce((sum, m) => sum + m, 0),
    Math.round(0.01 * mask.length) + Math.round(0.02 * mask.length),
  );
  const largest = weight.data.reduce((best, w, i) => Math.abs(w) > Math.abs(weight.data[best]) ? i : best, 0);
  assertEquals(
    sparseMask(weight, calibration.hessian, { sensitive: 0, largest: 1 / mask.length })[largest],
    1,
  );
  const sensitivity = createMatrix(weight.rows, weight.cols);
  sensitivity.data[17] = 1;
  const only = sparseMask(weight, calibration.hessian, {
    sensitivity,
    sensitive: 1 / mask.length,
    largest: 0,
  });
  assertEquals([only.indexOf(1), only.lastIndexOf(1)], [17, 17]);
  assertThrows(() => sparseMask(weight, calibration.hessian, { largest: 2 }), RangeError, "fractions");
});

Deno.test("sparseSplit() restores what it took, exactly, and narrows the rest", async () => {
  const split = sparseSplit({ largest: 0.02 });
  const { sparse, rest } = split.split(weight, calibration);
  const widest = (m: typeof weight) => m.data.reduce((max, w) => Math.max(max, Math.abs(w)), 0);
  assertLess(widest(rest), 0.6 * widest(weight));
  for (
    const rounder of [
      nearestRounder({ grid: integerGrid({ bits: 3 }) }),
      nearestRounder({ grid: kMeansGrid({ bits: 3 }) }),
    ]
  ) {
    const quantized = await composeMethod({ name: "m", split, rounder }).quantize(layer, calibration);
    const final = quantized.terms![0].weight;
    sparse!.forEach((kept, i) => assert(!kept || Math.abs(final.data[i] - weight.data[i]) < 1e-7));
    assert(sparse!.some((kept, i) => !kept && final.data[i] !== weight.data[i]));
  }
});

Deno.test("toSparseRows() round-trips", () => {
  const matrix = createMatrix(3, 5, normalMatrix(3, 5).data.map((v) => Math.abs(v) > 0.7 ? v : 0));
  const rows = toSparseRows(matrix);
  assertEquals(fromSparseRows(rows, 5), matrix);
  assertEquals(rows.offsets[3], rows.values.length);
  assertEquals(fromSparseRows(toSparseRows(createMatrix(2, 2)), 2), createMatrix(2, 2));
});

Deno.test("SqueezeLLM beats plain rounding at the same bits, more so with sparse entries", async () => {
  const error = async (method: (typeof methods)[string]) =>
    relativeError(output, (await method.quantize(layer, calibration)).forward(inputs));
  for (const bits of [4, 3, 2]) {
    const dense = composeMethod({ name: "dense", rounder: nearestRounder({ grid: kMeansGrid({ bits }) }) });
    const both = await error(methods[`squeezellm-w${bits}`]);
    assertLess(await error(dense), await error(methods[`rtn-w${bits}`]));
    assertLess(both, await error(dense));
  }
  const { bitsPerWeight } = await methods["squeezellm-w3"].quantize(layer, calibration);
  // Codes, a codebook of eight levels per row, offsets of the rows and 32 bits for each of 0.45 % of the weights.
  const entries = Math.round(0.0005 * weight.data.length) + Math.round(0.004 * weight.data.length);
  assertAlmostEquals(
    bitsPerWeight,
    3 + 8 * 16 / 64 + (32 * (weight.rows + 1) + 32 * entries) / weight.data.length,
    1e-9,
  );
});

Deno.test("sparseSplit() leaves a narrower range the more it takes, and little else", () => {
  const widest = (m: typeof weight) => m.data.reduce((max, w) => Math.max(max, Math.abs(w)), 0);
  let last = widest(weight);
  for (const largest of [0.002, 0.01, 0.05, 0.2]) {
    const now = widest(sparseSplit({ largest, sensitive: 0 }).split(weight, calibration).rest);
    assertLess(now, last);
    last = now;
  }
});
