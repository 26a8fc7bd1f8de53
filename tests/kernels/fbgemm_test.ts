// FBGEMM's 8-bit products on hand-computed numbers, on the reference and on the wasm backend.
import {
  type Backend,
  createReferenceBackend,
  createWasmBackend,
  type DeviceBuffer,
  type KernelSpec,
  packedRowBytes,
  splitWeightOutliers,
} from "../../kernels/mod.ts";
import { createRandom } from "../../quant/mod.ts";
import { assertAlmostEquals, assertEquals, assertLess, assertLessOrEqual, assertThrows } from "@std/assert";

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

for (const create of [createReferenceBackend, () => createWasmBackend({ threads: 1 })]) {
  const backendName = create.name || "wasm";

  Deno.test(`outlier_matmul is the dense integer product, extremes included (${backendName})`, async () => {
    using backend = await create();
    const random = createRandom(5);
    const [rows, columns, inner] = [3, 5, 70];
    const extreme = [-128, 127, -64, 63, 64, -65, 0];
    const draw = (count: number) =>
      Int8Array.from({ length: count }, (_, i) => i % 3 ? random.integer(256) - 128 : extreme[i % 7]);
    const [x, weight] = [draw(rows * inner), draw(columns * inner)];
    const { main, starts, indices, values } = splitWeightOutliers(weight, inner);
    const stride = packedRowBytes(inner, 8);
    const codes = new Int8Array(rows * stride);
    for (let r = 0; r < rows; r++) codes.set(x.subarray(r * inner, (r + 1) * inner), r * stride);
    const spec: KernelSpec = { op: "outlier_matmul", rows, columns, inner, remainders: indices.length };
    const sums = await run(backend, spec, [codes, main, starts, indices, values], rows * columns * 4);
    const dense = Int32Array.from({ length: rows * columns }, (_, i) => {
      const [r, c] = [Math.floor(i / columns), i % columns];
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += x[r * inner + k] * weight[c * inner + k];
      return sum;
    });
    assertEquals(new Int32Array(sums), dense);
  });

  Deno.test(`affine_linear takes a real 0 to its zero point, which contributes nothing (${backendName})`, async () => {
    using backend = await create();
    const [columns, inner] = [3, 20];
    const stride = packedRowBytes(inner, 8);
    const weight = new Int8Array(columns * stride);
    const offsets = new Int32Array(columns);
    for (let c = 0; c < columns; c++) {
      for (let k = 0; k < inner; k++) offsets[c] += weight[c * stride + k] = (c * 37 + k * 11) % 255 - 127;
    }
    const inputs = [
      new Float32Array(inner),
      Float32Array.of(0.03, 117, 0.5, 9),
      weight,
      Float32Array.of(0.1, 0.2, 0.3),
      Int32Array.of(5, -7, 0),
      offsets,
    ];
    const spec = { op: "affine_linear", rows: 1, columns, inner, bias: false } as const;
    const floats = await run(backend, { ...spec, outputType: "float32" }, inputs, 4 * columns);
    assertEquals(new Float32Array(floats).map((y) => y + 0), new Float32Array(columns));
    const codes = await run(backend, { ...spec, outputType: "uint8" }, inputs, packedRowBytes(columns, 8));
    assertEquals(new Uint8Array(codes).subarray(0, columns), Uint8Array.of(9, 9, 9));
  });

  Deno.test(`affine_linear is the product of the real values within rounding, its codes within one (${backendName})`, async () => {
    using backend = await create();
    const random = createRandom(6);
    const [rows, columns, inner] = [4, 6, 48];
    const stride = packedRowBytes(inner, 8);
    const x = Float32Array.from({ length: rows * inner }, () => random.normal());
    const weight = new Int8Array(columns * stride);
    const offsets = new Int32Array(columns);
    const [scales, zeros] = [new Float32Array(columns), new Int32Array(columns)];
    for (let c = 0; c < columns; c++) {
      [scales[c], zeros[c]] = [0.01 + 0.01 * random.uniform(), random.integer(21) - 10];
      for (let k = 0; k < inner; k++) offsets[c] += weight[c * stride + k] = random.integer(256) - 128;
    }
    const [sx, zx, sy, zy] = [0.025, 131, 1.5, 128];
    const bias = Float32Array.from({ length: columns }, () => 10 * random.normal());
    const inputs = [x, Float32Array.of(sx, zx, sy, zy), weight, scales, zeros, offsets, bias];
    const spec = { op: "affine_linear", rows, columns, inner, bias: true } as const;
    const floats = new Float32Array(
      await run(backend, { ...spec, outputType: "float32" }, inputs, rows * columns * 4),
    );
    const codes = new Uint8Array(
      await run(backend, { ...spec, outputType: "uint8" }, inputs, rows * packedRowBytes(columns, 8)),
    );
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        let expected = bias[c];
        for (let k = 0; k < inner; k++) {
          const code = Math.max(0, Math.min(255, Math.round(x[r * inner + k] / sx) + zx));
          expected += sx * (code - zx) * scales[c] * (weight[c * stride + k] - zeros[c]);
        }
        assertAlmostEquals(floats[r * columns + c], expected, 1e-3);
        const code = Math.max(0, Math.min(255, Math.round(expected / sy) + zy));
        assertLessOrEqual(Math.abs(codes[r * packedRowBytes(columns, 8) + c] - code), 1);
      }
    }
  });

  Deno.test(`integer_matmul is exact up to the edge of int32: 133,144 products of 127 (${backendName})`, async () => {
    using backend = await create();
    // 127^2 * 133,144 is the largest multiple below 2^31; what reaches it are 8-bit codes of one sign.
    const inner = 133_144;
    const stride = packedRowBytes(inner, 8);
    const row = new Int8Array(2 * stride);
    row.fill(127, 0, inner).fill(-127, stride, stride + inner);
    const spec: KernelSpec = {
      ...{ op: "integer_matmul", rows: 1, columns: 2, inner },
      ...{ activationBits: 8, weightBits: 8 },
    };
    const sums = await run(backend, spec, [row.slice(0, stride), row], 8);
    const largest = 127 * 127 * inner;
    assertEquals(new Int32Array(sums), Int32Array.of(largest, -largest));
    assertLessOrEqual(largest, 2 ** 31 - 1);
    assertLess(2 ** 31 - 1, largest + 127 * 127);
  });
}

Deno.test("splitWeightOutliers() refuses codes that do not fill rows", () => {
  assertThrows(
    () => splitWeightOutliers(new Int8Array(7), 2),
    RangeError,
    "Cannot split 7 codes into rows of 2",
  );
});
