// Every op runs on a device with nothing but what the WebGPU standard guarantees.
import { createWebGpuBackend, kernelSignature, specKey } from "../../kernels/mod.ts";
import { assert, assertEquals } from "@std/assert";
import { conformanceCases } from "./_cases.ts";
import { resultCases } from "./_result_cases.ts";
import { checkCase } from "./conformance.ts";
import { gpuTest } from "./_gpu.ts";

/** A device with the standard's limits and no optional feature. */
async function requestDefaultDevice(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter();
  assert(adapter !== null);
  return await adapter.requestDevice();
}

gpuTest("every op that WebGPU computes has a variant for the default limits", async () => {
  const device = await requestDefaultDevice();
  using backend = await createWebGpuBackend({ device });
  using full = await createWebGpuBackend();
  const { limits } = backend.capabilities;
  assertEquals(limits.maxComputeWorkgroupStorageSize, 16384);
  assertEquals(limits.maxStorageBuffersPerShaderStage, 8);
  assertEquals(backend.capabilities.subgroups, "none");
  for (const { spec } of conformanceCases()) {
    const { inputs, outputs } = kernelSignature(spec);
    assert(inputs.length > 0 && outputs.length > 0);
    assertEquals(backend.supports(spec), full.supports(spec), specKey(spec));
    if (backend.supports(spec)) await backend.prepare(spec);
  }
  device.destroy();
});

gpuTest("ops with many buffers are right on a device that binds eight", async () => {
  const device = await requestDefaultDevice();
  using backend = await createWebGpuBackend({ device });
  const cases = conformanceCases().filter(({ spec }) =>
    spec.op === "gptq_sweep" ||
    (spec.op === "quik_linear" && spec.bias && spec.outliers > 0 && spec.rows < 20)
  );
  assert(cases.length > 5);
  for (const testCase of cases.slice(0, 12)) await checkCase(backend, testCase);
  device.destroy();
});

gpuTest(
  "products store nonlinearities and float16 on a device that lacks float16 and binds eight buffers",
  async () => {
    const device = await requestDefaultDevice();
    using backend = await createWebGpuBackend({ device });
    assertEquals(backend.capabilities.float16, false);
    const cases = resultCases().filter(({ spec }) => "rows" in spec && spec.rows < 20);
    for (const testCase of cases) await checkCase(backend, testCase);
    device.destroy();
  },
);
