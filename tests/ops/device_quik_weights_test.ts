// QUIK's weights with GPTQ on a device against those of the host.
import { createReferenceBackend, createWebGpuBackend } from "../../kernels/mod.ts";
import { deviceQuikWeights } from "../../ops/mod.ts";
import { createMatrix, createRandom, hessianOf, quikWeights } from "../../quant/mod.ts";
import { assertAlmostEquals, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { gpuTest } from "../kernels/_gpu.ts";

const random = createRandom(8);
const normals = (rows: number, cols: number) =>
  createMatrix(rows, cols, Float32Array.from({ length: rows * cols }, () => random.normal()));

for (const bits of [4, 8] as const) {
  gpuTest(`deviceQuikWeights() gives the host's layer in ${bits} bits`, async () => {
    using backend = await createWebGpuBackend();
    const weight = normals(40, 96);
    const inputs = normals(300, 96);
    for (let t = 0; t < 300; t++) for (const c of [7, 50]) inputs.data[t * 96 + c] *= 20;
    const absmax = new Float32Array(96);
    inputs.data.forEach((value, i) => absmax[i % 96] = Math.max(absmax[i % 96], Math.abs(value)));
    const options = { absmax, hessian: hessianOf(inputs), bits, outliers: Uint32Array.of(7, 50) };
    const expected = quikWeights(weight, options);
    const actual = await deviceQuikWeights(backend, weight, options);
    assertEquals(actual.scales, expected.scales);
    assertEquals(actual.baseIndices, expected.baseIndices);
    // Float32 against float64: what lies on a tie, and what it drags along, may go the other way.
    const equal = actual.codes.filter((code, i) => code === expected.codes[i]).length;
    assertGreater(equal / actual.codes.length, 0.99);
    const total = (loss: Iterable<number>): number => [...loss].reduce((sum, value) => sum + value, 0);
    assertAlmostEquals(total(actual.loss!) / total(expected.loss!), 1, 2e-3);
    actual.reduced.forEach((sum, row) => {
      const codes = actual.codes.subarray(row * 94, (row + 1) * 94);
      assertAlmostEquals(sum, codes.reduce((a, b) => a + b, 0) * actual.scales[row], 1e-3);
    });
  });
}

Deno.test("deviceQuikWeights() refuses what only the host does", async () => {
  using backend = createReferenceBackend();
  const weight = normals(2, 4);
  const options = { absmax: new Float32Array(4) };
  await assertRejects(() => deviceQuikWeights(backend, weight, options), TypeError, "without a Hessian");
  const hessian = hessianOf(normals(8, 4));
  await assertRejects(
    () => deviceQuikWeights(backend, weight, { ...options, hessian, rounding: "nearest" }),
    TypeError,
    "Cannot prune or round to nearest",
  );
});
