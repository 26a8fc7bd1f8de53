// GPTQ on a device against GPTQ on the host.
import { int4 } from "../../formats/mod.ts";
import { createReferenceBackend, createWebGpuBackend } from "../../kernels/mod.ts";
import { deviceGptq } from "../../ops/mod.ts";
import { createMatrix, createRandom, gptq, hessianOf, integerGrid, type Matrix } from "../../quant/mod.ts";
import { assertAlmostEquals, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { gpuTest } from "../kernels/_gpu.ts";

const random = createRandom(3);

function layer(rows: number, cols: number): { weight: Matrix; hessian: Matrix } {
  const weight = createMatrix(rows, cols, Float32Array.from({ length: rows * cols }, () => random.normal()));
  const inputs = createMatrix(3 * cols, cols);
  for (let t = 0; t < inputs.rows; t++) {
    let carried = 0;
    for (let j = 0; j < cols; j++) {
      carried = 0.7 * carried + random.normal();
      inputs.data[t * cols + j] = j === 5 ? 0 : carried;
    }
  }
  return { weight, hessian: hessianOf(inputs) };
}

gpuTest("deviceGptq() rounds as gptq() does, outliers and order included", async () => {
  using backend = await createWebGpuBackend();
  const { weight, hessian } = layer(70, 150);
  const outliers = Uint32Array.of(3, 77, 149);
  const order = Uint32Array.from({ length: 150 }, (_, k) => (k * 7) % 150);
  const expected = gptq(weight, {
    hessian,
    grid: integerGrid({ bits: 4 }),
    outliers,
    order,
    staticGroups: true,
  });
  const actual = await deviceGptq(backend, weight, {
    hessian,
    format: int4,
    scales: expected.scales,
    outliers,
    order,
  });
  assertAlmostEquals(actual.damping, expected.damping, 1e-6 * expected.damping);
  const kept = new Set(outliers);
  let equal = 0;
  for (let i = 0; i < actual.codes.length; i++) {
    if (kept.has(i % 150)) assertAlmostEquals(actual.weight.data[i], expected.weight.data[i], 1e-2);
    else if (actual.codes[i] === expected.codes[i]) equal++;
  }
  // Float32 against float64: a weight that lies on a tie, and what it drags along, may go the other way.
  assertGreater(equal / (70 * 147), 0.995);
  const total = (loss: Iterable<number>): number => [...loss].reduce((sum, value) => sum + value, 0);
  assertAlmostEquals(total(actual.loss) / total(expected.loss), 1, 1e-3);
});

Deno.test("deviceGptq() takes static groups", async () => {
  using backend = createReferenceBackend();
  const { weight, hessian } = layer(6, 32);
  const grid = integerGrid({ bits: 4 });
  const expected = gptq(weight, { hessian, grid, groupSize: 8, staticGroups: true });
  const { codes } = await deviceGptq(backend, weight, {
    hessian,
    format: int4,
    scales: expected.scales,
    groupSize: 8,
  });
  assertEquals(codes, expected.codes);
});

Deno.test("deviceGptq() refuses what does not fit, and a Hessian that nothing helps", async () => {
  using backend = createReferenceBackend();
  const { weight, hessian } = layer(2, 8);
  const options = { hessian, format: int4, scales: new Float32Array(2).fill(1) };
  await assertRejects(
    () => deviceGptq(backend, weight, { ...options, hessian: createMatrix(3, 3) }),
    RangeError,
    "it must be [8, 8]",
  );
  await assertRejects(
    () => deviceGptq(backend, weight, { ...options, scales: new Float32Array(3) }),
    RangeError,
    "Cannot run GPTQ with 3 scales",
  );
  await assertRejects(
    () => deviceGptq(backend, weight, { ...options, order: Uint32Array.of(0, 1) }),
    RangeError,
    "a permutation of 8 columns",
  );
  const negative = createMatrix(8, 8);
  for (let i = 0; i < 8; i++) negative.data[i * 9] = -1;
  await assertRejects(
    () => deviceGptq(backend, weight, { ...options, hessian: negative }),
    RangeError,
    "Cannot factor the [8, 8] Hessian",
  );
});
