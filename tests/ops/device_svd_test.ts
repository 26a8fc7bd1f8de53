// The singular triplets whose products run on a backend, against those of the host.
import { type Backend, createReferenceBackend, createWasmBackend } from "@quik/quant/kernels";
import { deviceTruncatedSvd } from "@quik/quant/ops";
import {
  createMatrix,
  createMatrix64,
  type Decomposer,
  integerGrid,
  loftqMethod,
  type Matrix,
  multiplyTransposed64,
  nearestRounder,
  perTokenActivations,
  squaredNorm64,
  subtract64,
  svd,
  svdQuantMethod,
  type SvdResult,
  toMatrix64,
  truncatedSvd,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertRejects } from "@std/assert";
import { createLayerFixture, normalMatrix, product, relativeError } from "../quant/_fixture.ts";

/** Squared error of the rank-k approximation. */
function residual(matrix: Matrix, { u, s, v }: SvdResult): number {
  const scaled = createMatrix64(u.rows, u.cols, u.data.map((value, i) => value * s[i % u.cols]));
  return squaredNorm64(subtract64(toMatrix64(matrix), multiplyTransposed64(scaled, v)));
}

/** A matrix of 8 large directions in noise. */
function fewDirections(rows: number, cols: number): Matrix {
  const noise = normalMatrix(rows, cols, 3);
  const signal = product(normalMatrix(rows, 8, 1), normalMatrix(cols, 8, 2));
  return createMatrix(rows, cols, signal.data.map((value, i) => value + 0.1 * noise.data[i]));
}

const backends: [string, () => Backend | Promise<Backend>][] = [
  ["reference", createReferenceBackend],
  ["wasm", () => createWasmBackend({ threads: 1 })],
];

for (const [name, create] of backends) {
  Deno.test(`deviceTruncatedSvd() gives the host's triplets (${name})`, async () => {
    using backend = await create();
    for (const [rows, cols] of [[90, 130], [130, 90], [100, 100]]) {
      const matrix = fewDirections(rows, cols);
      const [ours, host] = [
        await deviceTruncatedSvd(backend, matrix, 8),
        truncatedSvd(toMatrix64(matrix), 8),
      ];
      assertEquals([ours.u.rows, ours.u.cols, ours.v.rows, ours.v.cols], [rows, 8, cols, 8]);
      ours.s.forEach((s, k) => assertAlmostEquals(s / host.s[k], 1, 1e-6));
      assertAlmostEquals(residual(matrix, ours) / residual(matrix, host), 1, 1e-5);
      // Within what subspace iteration leaves of the optimum.
      const { s } = svd(toMatrix64(matrix));
      const optimum = s.subarray(8).reduce((sum, value) => sum + value * value, 0);
      assert(residual(matrix, ours) < 1.001 * optimum);
    }
  });
}

Deno.test("deviceTruncatedSvd() starts from known vectors and decomposes small matrices on the host", async () => {
  using backend = createReferenceBackend();
  const matrix = fewDirections(120, 96);
  const { v } = svd(toMatrix64(matrix));
  const optimum = await deviceTruncatedSvd(backend, matrix, 8);
  const restarted = await deviceTruncatedSvd(backend, matrix, 8, { start: v, powerSteps: 0 });
  restarted.s.forEach((s, k) => assertAlmostEquals(s / optimum.s[k], 1, 1e-5));
  const small = normalMatrix(20, 12, 1);
  assertEquals(await deviceTruncatedSvd(backend, small, 3), truncatedSvd(toMatrix64(small), 3));
  await assertRejects(() => deviceTruncatedSvd(backend, matrix, 0), RangeError, "positive integer");
  assertLess(0, optimum.s[7]);
});

Deno.test("LoftQ and SVDQuant give the same layers with their decompositions on a backend", async () => {
  using backend = await createWasmBackend({ threads: 1 });
  let calls = 0;
  const decompose: Decomposer = (matrix, rank, options) => {
    calls++;
    return deviceTruncatedSvd(backend, matrix, rank, options);
  };
  const { layer, inputs, calibration } = createLayerFixture({
    inputs: 96,
    outputs: 128,
    outliers: 3,
    tokens: 64,
  });
  const int4 = {
    rounder: nearestRounder({ grid: integerGrid({ bits: 4 }), groupSize: 32 }),
    activations: perTokenActivations({ bits: 4, groupSize: 32 }),
    searchSteps: 5,
  };
  const pairs = [
    [loftqMethod({ name: "loftq" }), loftqMethod({ name: "loftq", decompose })],
    [svdQuantMethod({ name: "svd", ...int4 }), svdQuantMethod({ name: "svd", ...int4, decompose })],
  ];
  const expected = product(inputs, layer.weight);
  for (const methods of pairs) {
    const [host, device] = await Promise.all(methods.map((method) => method.quantize(layer, calibration)));
    assertEquals(device.bitsPerWeight, host.bitsPerWeight);
    const [onHost, onDevice] = [host, device].map((quantized) => quantized.forward(inputs));
    // Float32 vectors move some weights over a rounding threshold: the layers are equally good, not equal.
    const ratio = relativeError(expected, onDevice) / relativeError(expected, onHost);
    assertAlmostEquals(ratio, 1, 0.03);
  }
  assertLess(10, calls);
});
