// Dawn against the reference, matrix units included: `deno task test:gpu`, on a machine with a GPU that Dawn drives.
// Every op by the variant it chooses, then every other variant, with Dawn's bounds checks off and on.
import { createWebGpuBackend, type WebGpuBackend, type WebGpuBackendOptions } from "../../kernels/mod.ts";
import { createDawnDevice } from "../../kernels/webgpu/dawn.ts";
import { conformanceCases } from "../kernels/_cases.ts";
import { assert } from "@std/assert";
import { checkVariants } from "../kernels/_variants.ts";
import { checkCase } from "../kernels/conformance.ts";
import { checkOneBuffer } from "../kernels/_one_buffer.ts";

for (const boundsChecks of [false, true]) {
  Deno.test({
    name: `dawn conforms to the reference${boundsChecks ? ", with its bounds checks" : ""}`,
    ignore: Deno.env.get("QUIK_TEST_DAWN") !== "1",
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async (test) => {
      const device = await createDawnDevice({ boundsChecks });
      const create = (options: WebGpuBackendOptions = {}): Promise<WebGpuBackend> =>
        createWebGpuBackend({ ...options, device });
      for (const [op, cases] of Map.groupBy(conformanceCases(), ({ spec }) => spec.op)) {
        await test.step(`${op} (${cases.length} cases)`, async () => {
          using backend = await create();
          for (const testCase of cases) await checkCase(backend, testCase);
        });
      }
      await test.step("a product of a matrix with itself", async () => {
        using backend = await create({
          choose: (_spec, candidates) => {
            const ordered = candidates.find(({ name }) => name.endsWith("_ordered"));
            assert(ordered, "a variant that binds its inputs writably");
            return ordered;
          },
        });
        await checkOneBuffer(backend);
      });
      await checkVariants(test, create, { casesPerVariant: boundsChecks ? 1 : 4 });
    },
  });
}
