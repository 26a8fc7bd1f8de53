// Dawn against the reference, matrix units included: `deno task test:gpu`, on a machine with a GPU that Dawn drives.
// Every op by the variant it chooses, then every other variant, with Dawn's bounds checks off and on.
import { createWebGpuBackend, type WebGpuBackendOptions } from "../../kernels/mod.ts";
import type { WebGpuBackend } from "../../kernels/mod.ts";
import { createDawnDevice } from "../../kernels/webgpu/dawn.ts";
import { checkVariants } from "../kernels/_variants.ts";
import { runConformance } from "../kernels/conformance.ts";

const ignore = Deno.env.get("QUIK_TEST_DAWN") !== "1";

for (const boundsChecks of [false, true]) {
  const name = `dawn${boundsChecks ? " with bounds checks" : ""}`;
  let device: Promise<GPUDevice> | undefined;
  const create = async (options: WebGpuBackendOptions = {}): Promise<WebGpuBackend> => {
    device ??= createDawnDevice({ boundsChecks });
    return await createWebGpuBackend({ ...options, device: await device });
  };
  runConformance(name, () => create(), { ignore });
  Deno.test({
    name: `${name} conforms to the reference: other variants`,
    ignore,
    fn: (test) => checkVariants(test, create, { casesPerVariant: boundsChecks ? 1 : 4 }),
  });
}
