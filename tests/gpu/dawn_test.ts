// Dawn against the reference, matrix units included: `deno task test:gpu`, on a machine with a GPU that Dawn drives.
// Every op by the variant it chooses, then every other variant, with Dawn's bounds checks off and on.
import {
  createWebGpuBackend,
  type KernelVariant,
  type WebGpuBackend,
  type WebGpuBackendOptions,
} from "../../kernels/mod.ts";
import { createRandom } from "../../quant/mod.ts";
import { createDawnDevice } from "../../kernels/webgpu/dawn.ts";
import { tailPlan } from "../../kernels/webgpu/_matrix_plans.ts";
import { SPLIT_MATRIX_SHAPES } from "../../kernels/webgpu/_matrix_shapes.ts";
import { codebookLinearMatrix } from "../../kernels/webgpu/codebook_linear_matrix.ts";
import { denseLinearMatrix } from "../../kernels/webgpu/dense_linear_matrix.ts";
import { conformanceCases, float16Cases } from "../kernels/_cases.ts";
import { assert } from "@std/assert";
import { codebookCases } from "../kernels/_codebook_cases.ts";
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
        // A device of four processors has them in small results.
        const plan = tailPlan(SPLIT_MATRIX_SHAPES[1], 4);
        const cases = [...float16Cases(createRandom(5)), ...codebookCases(createRandom(5))];
        const variants = {
          dense_linear: denseLinearMatrix(plan) as KernelVariant,
          codebook_linear: codebookLinearMatrix(plan) as KernelVariant,
        };
        for (const [op, variant] of Object.entries(variants)) {
          using backend = await create({ choose: () => variant });
          const divided = cases.filter(({ spec }) =>
            spec.op === op && variant.supports(spec, backend.capabilities) &&
            variant.generate(spec, backend.capabilities).passes.some(({ wgsl }) => wgsl.includes("part_sums"))
          );
          assert(divided.length > 0, `some case of ${op} leaves tiles over`);
          for (const testCase of divided) await checkCase(backend, testCase);
        }
      });
      await checkVariants(test, create, { casesPerVariant: boundsChecks ? 1 : 4 });
    },
  });
}
