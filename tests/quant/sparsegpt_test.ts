import {
  createMatrix,
  gptq,
  integerGrid,
  type Matrix,
  methods,
  packSparsePairs,
  unpackSparsePairs,
} from "@quik/quant/quant";
import { int8 } from "@quik/quant/formats";
import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { createLayerFixture, normalMatrix, product, relativeError } from "./_fixture.ts";

const { layer, inputs, calibration } = createLayerFixture({ outliers: 3 });
const { weight } = layer, { hessian } = calibration, output = product(inputs, weight);
const sparsity = { zeros: 2, of: 4 };

/** Zeroes the two of every four weights with the lowest score. */
function pruneBy(score: (i: number) => number): { weight: Matrix; mask: Uint8Array } {
  const mask = new Uint8Array(weight.data.length);
  for (let start = 0; start < mask.length; start += 4) {
    const order = [0, 1, 2, 3].map((i) => start + i).sort((a, b) => score(a) - score(b));
    mask[order[0]] = mask[order[1]] = 1;
  }
  return { mask, weight: createMatrix(weight.rows, weight.cols, weight.data.map((w, i) => mask[i] ? 0 : w)) };
}

Deno.test("gptq() with 2:4 sparsity keeps two of every four and loses less than magnitude pruning", () => {
  const result = gptq(weight, { hessian, format: int8, sparsity });
  for (let i = 0; i < weight.data.length; i += 4) {
    assertEquals(result.pruned!.subarray(i, i + 4).reduce((sum, p) => sum + p, 0), 2);
  }
  result.pruned!.forEach((p, i) => assert(!p || result.weight.data[i] === 0));
  const error = (w: Matrix) => relativeError(output, product(inputs, w));
  const byMagnitude = pruneBy((i) => Math.abs(weight.data[i]));
  const byActivation = pruneBy((i) => Math.abs(weight.data[i]) * Math.sqrt(hessian.data[(i % 64) * 65]));
  assertLess(error(result.weight), 0.5 * error(byMagnitude.weight));
  assertLess(error(result.weight), error(byActivation.weight));
});

Deno.test("gptq() with independent inputs prunes as Wanda does", () => {
  const diagonal = createMatrix(64, 64, hessian.data.map((h, i) => i % 65 === 0 ? h : 0));
  const result = gptq(weight, { hessian: diagonal, format: int8, sparsity, percDamp: 0 });
  const wanda = pruneBy((i) => Math.abs(weight.data[i]) * Math.sqrt(hessian.data[(i % 64) * 65]));
  assertEquals(result.pruned, wanda.mask);
});

Deno.test("gptq() leaves weights that are 2:4 sparse and on the grid", () => {
  const first = gptq(weight, { hessian, format: int8, sparsity });
  const frozen = { ...integerGrid({ bits: 8 }), fit: () => integerGrid({ bits: 8 }).fit(Float32Array.of(1)) };
  const onGrid = createMatrix(
    weight.rows,
    weight.cols,
    first.weight.data.map((w) => frozen.fit().decode(frozen.fit().encode(w))),
  );
  assertEquals(gptq(onGrid, { hessian, grid: frozen, sparsity }).weight.data.map((w) => w + 0), onGrid.data);
});

Deno.test("gptq() prunes a fraction of each block", () => {
  const half = gptq(weight, { hessian, format: int8, sparsity: { ratio: 0.5 }, blockSize: 32 });
  assertEquals(half.pruned!.reduce((sum, p) => sum + p, 0), weight.data.length / 2);
  const pattern = gptq(weight, { hessian, format: int8, sparsity });
  const error = (w: Matrix) => relativeError(output, product(inputs, w));
  assertLess(error(half.weight), error(pattern.weight));
});

Deno.test("packSparsePairs() round-trips whatever is 2:4 sparse", () => {
  const pruned = gptq(weight, { hessian, format: int8, sparsity }).weight;
  assertEquals(unpackSparsePairs(packSparsePairs(pruned)).data, pruned.data.map((w) => w + 0));
  const few = createMatrix(2, 4, Float32Array.of(0, 0, 0, 3, 0, 0, 0, 0));
  assertEquals(unpackSparsePairs(packSparsePairs(few)), few);
  assertThrows(() => packSparsePairs(normalMatrix(1, 4)), RangeError, "4 nonzero values");
  assertThrows(() => packSparsePairs(createMatrix(1, 6)), RangeError, "6 columns");
});

Deno.test("SparseGPT's method counts kept codes and their places", async () => {
  const { bitsPerWeight } = await methods["sparsegpt-2of4-w4"].quantize(layer, calibration);
  assertEquals(bitsPerWeight, 2 + 1 + 16 / 64);
});
