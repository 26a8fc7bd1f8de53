// Hadamard rotations on backends: what the quant room's rotation computes, run by run.
import { createReferenceBackend, createWasmBackend } from "../../kernels/mod.ts";
import { DeviceHadamard, DeviceTensor } from "../../ops/mod.ts";
import { createMatrix, createRandom, hadamard, type HadamardOptions } from "../../quant/mod.ts";
import { assertLess, assertRejects } from "@std/assert";

const CASES: readonly { size: number; options?: HadamardOptions; runs?: number }[] = [
  { size: 16 },
  { size: 64, options: { seed: 3 } },
  { size: 24, options: { seed: 1 }, runs: 3 },
  { size: 80, runs: 2 },
  { size: 35 },
  { size: 48, options: { blockSize: 12 } },
];

for (
  const [name, create] of [
    ["reference", () => Promise.resolve(createReferenceBackend())],
    ["wasm", () => createWasmBackend()],
  ] as const
) {
  Deno.test(`DeviceHadamard rotates as hadamard() does, and back: ${name}`, async () => {
    using backend = await create();
    const random = createRandom(1);
    for (const { size, options, runs = 1 } of CASES) {
      const rotation = hadamard(size, options);
      const x = createMatrix(5, size * runs, Float32Array.from({ length: 5 * size * runs }, random.normal));
      const expected = rotation.apply(createMatrix(5 * runs, size, x.data)).data;
      using onDevice = new DeviceHadamard(backend, rotation);
      using input = DeviceTensor.fromMatrix(backend, x);
      using rotated = await onDevice.apply(input);
      using back = await onDevice.apply(rotated, { inverse: true });
      const [actual, again] = [(await rotated.toMatrix()).data, (await back.toMatrix()).data];
      actual.forEach((value, i) => assertLess(Math.abs(value - expected[i]), 2e-6));
      again.forEach((value, i) => assertLess(Math.abs(value - x.data[i]), 2e-6));
    }
  });
}

Deno.test("DeviceHadamard refuses columns that are not whole runs", async () => {
  using backend = createReferenceBackend();
  using rotation = new DeviceHadamard(backend, hadamard(16));
  using x = DeviceTensor.fromMatrix(backend, createMatrix(1, 24));
  await assertRejects(() => rotation.apply(x), RangeError, "24 columns in runs of 16");
});
