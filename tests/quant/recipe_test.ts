import {
  chooseMethod,
  composeMethod,
  createMatrix,
  gptqRounder,
  integerGrid,
  linearFromTerms,
  methods,
  nearestRounder,
  permuteTransform,
  perTokenActivations,
  scaleTransform,
  selectOutlierColumns,
  shiftTransform,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

const { layer, inputs, calibration } = createLayerFixture({ outliers: 3 });
const { weight } = layer;
const output = product(inputs, weight);
const grid = integerGrid({ bits: 4 });
const exact = {
  name: "exact",
  bits: 32,
  round: (w: typeof weight) => ({ weight: w, storedBits: 32 * w.data.length }),
};

Deno.test("composeMethod() without rounding returns the float layer, bias included", async () => {
  const bias = Float32Array.from({ length: weight.rows }, (_, r) => r);
  const scale = Float32Array.from({ length: weight.cols }, (_, c) => 1 + c / 8);
  const method = composeMethod({
    name: "float",
    transforms: [
      { name: "shift", find: () => shiftTransform(scale) },
      { name: "scale", find: () => scaleTransform(scale) },
      {
        name: "permute",
        find: ({ weight: w }) => permuteTransform(Uint32Array.from(w.data.slice(0, w.cols).keys()).reverse()),
      },
    ],
    split: {
      name: "half",
      split: (w) => ({
        kept: { ...w, data: w.data.map((v) => v / 2) },
        rest: { ...w, data: w.data.map((v) => v / 2) },
        storedBits: 0,
      }),
    },
    rounder: exact,
    activations: { name: "float", bits: 16, prepare: () => (x) => x },
  });
  const quantized = await method.quantize({ ...layer, bias }, calibration);
  const expected = createMatrix(
    output.rows,
    output.cols,
    output.data.map((y, i) => y + bias[i % weight.rows]),
  );
  assertLess(relativeError(expected, quantized.forward(inputs)), 1e-5);
  // Weights, then 16 bits per shift and scale and 32 per index.
  assertAlmostEquals(quantized.bitsPerWeight, 32 + (16 + 16 + 32) / weight.rows, 1e-12);
  assertEquals(quantized.terms!.length, 2);
});

Deno.test("composeMethod() counts every stored bit", async () => {
  const bits = async (rounder: ReturnType<typeof nearestRounder>) =>
    (await composeMethod({ name: "m", rounder }).quantize(layer, calibration)).bitsPerWeight;
  const asymmetric = integerGrid({ bits: 4, mapping: "asym" });
  assertEquals(await bits(nearestRounder({ grid })), 4 + 16 / 64);
  assertEquals(await bits(nearestRounder({ grid, groupSize: 128 })), 4 + 16 / 64);
  assertEquals(await bits(nearestRounder({ grid: asymmetric, groupSize: 16 })), 4 + 20 / 16);
  assertEquals(
    await bits(gptqRounder({ grid: asymmetric, groupSize: 16, actOrder: true, staticGroups: true })),
    4 + 20 / 16,
  );
  assertEquals(await bits(gptqRounder({ grid, sparsity: { zeros: 2, of: 4 } })), 2 + 1 + 16 / 64);
});

Deno.test("composeMethod() keeps outlier columns out of weights and activations", async () => {
  const outliers = selectOutlierColumns(calibration.absmax, { count: 3 });
  const split = {
    name: "columns",
    split: (w: typeof weight) => ({ outliers, rest: w, storedBits: 3 * (32 + 16 * w.rows) }),
  };
  const activations = perTokenActivations({ bits: 4 });
  for (const rounder of [nearestRounder({ grid }), gptqRounder({ grid, ascendingAbsmax: true })]) {
    const plain = await composeMethod({ name: "plain", rounder, activations }).quantize(layer, calibration);
    const mixed = await composeMethod({ name: "mixed", split, rounder, activations }).quantize(
      layer,
      calibration,
    );
    assertLess(
      relativeError(output, mixed.forward(inputs)),
      0.2 * relativeError(output, plain.forward(inputs)),
    );
  }
});

Deno.test("a layer's forward is the sum of its terms", async () => {
  for (const method of Object.values(methods)) {
    const quantized = await method.quantize(layer, calibration);
    if (!quantized.terms) continue;
    const sum = createMatrix(inputs.rows, weight.rows);
    for (const term of quantized.terms) {
      product(term.input?.(inputs) ?? inputs, term.weight).data.forEach((y, i) => sum.data[i] += y);
    }
    assertLess(relativeError(quantized.forward(inputs), sum), 1e-6, method.name);
    assert(quantized.bitsPerWeight > 0 && quantized.bitsPerWeight < 17, method.name);
  }
});

Deno.test("methods at more bits err less", async () => {
  const errors: number[] = [];
  for (const name of ["rtn-w8", "rtn-w8a8", "rtn-w4", "rtn-w3", "rtn-w2"]) {
    const quantized = await methods[name].quantize(layer, calibration);
    errors.push(relativeError(output, quantized.forward(inputs)));
  }
  for (let i = 1; i < errors.length; i++) assertLess(errors[i - 1], errors[i]);
});

Deno.test("chooseMethod() decides by layer", async () => {
  const method = chooseMethod(
    "mixed",
    ({ name }) => methods[name.endsWith("down_proj") ? "rtn-w8a8" : "rtn-w4a4"],
  );
  const narrow = await method.quantize(layer, calibration);
  const wide = await method.quantize({ ...layer, name: "mlp.down_proj" }, calibration);
  assertEquals(wide.bitsPerWeight - narrow.bitsPerWeight, 4);
});

Deno.test("linearFromTerms() rejects terms that do not add up", () => {
  assertThrows(() => linearFromTerms({ terms: [], bitsPerWeight: 1 }), RangeError, "no terms");
  const terms = [{ weight: createMatrix(1, 2) }, { weight: createMatrix(2, 2) }];
  assertThrows(() => linearFromTerms({ terms, bitsPerWeight: 1 }), RangeError, "outputs");
});
