// Dawn against the reference, matrix units included: `deno task test:gpu`, on a machine with a GPU that Dawn drives.
// Every op by the variant it chooses, then every other variant, with Dawn's bounds checks off and on.
import {
  createWebGpuBackend,
  type DenseLinearSpec,
  type KernelVariant,
  type WebGpuBackend,
  type WebGpuBackendOptions,
} from "../../kernels/mod.ts";
import { createRandom } from "../../quant/mod.ts";
import { createDawnDevice } from "../../kernels/webgpu/dawn.ts";
import { tailPlan } from "../../kernels/webgpu/_matrix_plans.ts";
import { SPLIT_MATRIX_SHAPES } from "../../kernels/webgpu/_matrix_shapes.ts";
import { denseLinearMatrix } from "../../kernels/webgpu/dense_linear_matrix.ts";
import { conformanceCases, float16Cases } from "../kernels/_cases.ts";
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
      await test.step("products whose last tiles several workgroups divide", async () => {
        // A device of eight processors has them in small results.
        const variant = denseLinearMatrix(tailPlan(SPLIT_MATRIX_SHAPES[1], 8));
        using backend = await create({ choose: () => variant as KernelVariant });
        const cases = float16Cases(createRandom(5)).filter(({ spec }) =>
          variant.generate(spec as DenseLinearSpec, backend.capabilities).passes.length > 2
        );
        assert(cases.length > 1, "some cases leave tiles over");
        for (const testCase of cases) await checkCase(backend, testCase);
      });
      await checkVariants(test, create, { casesPerVariant: boundsChecks ? 1 : 4 });
    },
  });
}
