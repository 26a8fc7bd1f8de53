// FBGEMM's 8-bit products on hand-computed numbers, on the reference and on the wasm backend.
import {
  type Backend,
  createReferenceBackend,
  createWasmBackend,
  type DeviceBuffer,
  type KernelSpec,
  splitWeightOutliers,
} from "../../kernels/mod.ts";
import { assertEquals, assertThrows } from "@std/assert";

async function run(
  backend: Backend,
  spec: KernelSpec,
  inputs: ArrayBufferView<ArrayBuffer>[],
  bytes: number,
) {
  const upload = (data: ArrayBufferView<ArrayBuffer>): DeviceBuffer => {
    const buffer = backend.allocate(data.byteLength);
    backend.write(buffer, data);
    return buffer;
  };
  const output = backend.allocate(bytes);
  backend.dispatch(await backend.prepare(spec), inputs.map(upload), [output]);
  return await backend.read(output);
}

for (const create of [createReferenceBackend, () => createWasmBackend({ threads: 1 })]) {
  Deno.test(`affine_linear gives the hand-computed codes (${create.name || "wasm"})`, async () => {
    using backend = await create();
    // q = [130, 126], centered on 128: [2, -2]. Weights less their zero point 1: [2, 4] and [-3, 0].
    const weight = new Int8Array(32);
    weight.set([3, 5], 0);
    weight.set([-2, 1], 16);
    const inputs = [
      Float32Array.of(1, -1),
      Float32Array.of(0.5, 128, 0.25, 10),
      weight,
      Float32Array.of(1, 2),
      Int32Array.of(1, 1),
      Int32Array.of(8, -1),
      Float32Array.of(0.5, 0),
    ];
    const spec = { op: "affine_linear", rows: 1, columns: 2, inner: 2, bias: true } as const;
    // Sums [-4, -6]; real values -4 * 0.5 + 0.5 and -6 * 1.
    const floats = await run(backend, { ...spec, outputType: "float32" }, inputs, 8);
    assertEquals(new Float32Array(floats), Float32Array.of(-1.5, -6));
    const codes = await run(backend, { ...spec, outputType: "uint8" }, inputs, 16);
    assertEquals(new Uint8Array(codes), Uint8Array.of(4, ...new Uint8Array(15)));
  });

  Deno.test(`outlier_matmul adds the remainder (${create.name || "wasm"})`, async () => {
    using backend = await create();
    const { main, starts, indices, values } = splitWeightOutliers(Int8Array.of(127, 1, -128, 64), 2);
    const codes = new Int8Array(16);
    codes.set([-128, 3]);
    const spec: KernelSpec = { op: "outlier_matmul", rows: 1, columns: 2, inner: 2, remainders: 3 };
    const sums = await run(backend, spec, [codes, main, starts, indices, values], 8);
    assertEquals(new Int32Array(sums), Int32Array.of(-128 * 127 + 3, 128 * 128 + 3 * 64));
  });
}

Deno.test("splitWeightOutliers() refuses codes that do not fill rows", () => {
  assertThrows(
    () => splitWeightOutliers(new Int8Array(7), 2),
    RangeError,
    "Cannot split 7 codes into rows of 2",
  );
});
