// Sizes and values at which narrower arithmetic breaks: sums that need all of int32, and products that overflow float16.
import {
  createWebGpuBackend,
  type DeviceBuffer,
  type KernelSpec,
  packedRowBytes,
  type WebGpuBackend,
} from "../../kernels/mod.ts";
import type { CodeBits } from "../../kernels/specs.ts";
import { variantsFor } from "../../kernels/webgpu/registry.ts";
import { createRandom } from "../../quant/mod.ts";
import { assert, assertEquals } from "@std/assert";
import { gpuTest } from "./_gpu.ts";
import { codeRows, halfRows, normals } from "./_inputs.ts";
import { checkCase } from "./conformance.ts";

/** Rows of the smallest code everywhere, padding zero. */
function extremeRows(rows: number, count: number, bits: CodeBits): Uint8Array<ArrayBuffer> {
  const stride = packedRowBytes(count, bits);
  const packed = new Uint8Array(rows * stride);
  const used = count * bits / 8;
  for (let row = 0; row < rows; row++) {
    packed.fill(bits === 8 ? 0x80 : 0x88, row * stride, row * stride + used);
  }
  return packed;
}

async function accumulate(
  backend: WebGpuBackend,
  spec: KernelSpec & { op: "integer_matmul" },
): Promise<Map<string, Int32Array>> {
  const { rows, columns, inner, activationBits, weightBits } = spec;
  const upload = (data: ArrayBufferView<ArrayBuffer>): DeviceBuffer => {
    const buffer = backend.allocate(data.byteLength);
    backend.write(buffer, data);
    return buffer;
  };
  using codes = upload(extremeRows(rows, inner, activationBits));
  using weight = upload(extremeRows(columns, inner, weightBits));
  using sums = backend.allocate(rows * columns * 4);
  const results = new Map<string, Int32Array>();
  for (const variant of variantsFor(spec, backend.capabilities)) {
    backend.dispatch(await backend.prepareVariant(spec, variant), [codes, weight], [sums]);
    results.set(variant.name, new Int32Array(await backend.read(sums)));
  }
  return results;
}

gpuTest("integer_matmul is exact at K = 28,672 with the largest codes, by every variant", async () => {
  using backend = await createWebGpuBackend();
  for (const [activationBits, weightBits] of [[4, 4], [8, 4], [8, 8]] as const) {
    const inner = 28672;
    const spec = { op: "integer_matmul", rows: 2, columns: 3, inner, activationBits, weightBits } as const;
    const results = await accumulate(backend, spec);
    assert(results.size >= 2);
    for (const [variant, sums] of results) {
      const exact = inner * 2 ** (activationBits - 1) * 2 ** (weightBits - 1);
      assertEquals(sums, new Int32Array(6).fill(exact), `${variant}, ${activationBits} x ${weightBits} bits`);
    }
  }
});

gpuTest("quik_linear does not overflow at K = 11,008 with random int8, as float16 would", async () => {
  const random = createRandom(9);
  const [rows, columns, inner, outliers] = [3, 5, 11008, 16];
  const spec = {
    op: "quik_linear",
    rows,
    columns,
    inner,
    outliers,
    activationBits: 8,
    weightBits: 8,
    bias: false,
  } as const;
  const qparams = normals(random, rows * 2);
  for (let row = 0; row < rows; row++) qparams[row * 2] = 1;
  const testCase = {
    spec,
    inputs: [
      codeRows(random, rows, inner, 8),
      qparams,
      halfRows(random, rows, outliers),
      codeRows(random, columns, inner, 8),
      new Float32Array(columns).fill(1),
      normals(random, columns),
      halfRows(random, columns, outliers),
    ],
    comparisons: ["float" as const],
  };
  for (const name of ["few_rows", "tiled_64x64"]) {
    using backend = await createWebGpuBackend({
      choose: (_spec, candidates) => {
        const variant = candidates.find((candidate) => candidate.name === name);
        assert(variant);
        return variant;
      },
    });
    await checkCase(backend, testCase);
  }
});
