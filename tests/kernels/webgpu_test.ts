// The WebGPU backend against the reference: every op by the variant it chooses, then every other variant.
import { createWebGpuBackend } from "../../kernels/mod.ts";
import { requestPlatformDevice } from "../../kernels/webgpu/device.ts";
import { gpu } from "./_gpu.ts";
import { checkVariants } from "./_variants.ts";
import { runConformance } from "./conformance.ts";

runConformance(`webgpu${gpu.reason}`, () => createWebGpuBackend(), {
  ignore: gpu.ignore,
});

Deno.test({
  name: `webgpu conforms to the reference: other variants${gpu.reason}`,
  ignore: gpu.ignore,
  fn: async (test) => {
    // One device for all steps: a driver was seen to refuse the sixtieth of a process.
    const device = await requestPlatformDevice();
    await checkVariants(test, (options) => createWebGpuBackend({ ...options, device }), {
      casesPerVariant: 2,
    });
    device.destroy();
  },
});
