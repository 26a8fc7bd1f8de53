// Whole models in other tools' layouts run on the device, with the logits of those tools' own readers.
import { assert, assertEquals, assertLess } from "@std/assert";
import {
  type Backend,
  createReferenceBackend,
  createWasmBackend,
  createWebGpuBackend,
} from "../../kernels/mod.ts";
import { loadModel } from "../../models/mod.ts";
import { CodebookLinear } from "../../ops/mod.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { maxDifference, readReference } from "./_fixtures.ts";

const FOLDER = "tests/fixtures/quantized_models";

const MODELS = Array.from(Deno.readDirSync(FOLDER)).filter((entry) => entry.isDirectory).map(({ name }) =>
  name
);

async function check(name: string, backend: Backend): Promise<void> {
  using model = await loadModel(`${FOLDER}/${name}`, { backend });
  for (const { name: slot, linear } of model.linears.values()) assert(linear instanceof CodebookLinear, slot);
  const { inputIds, logits } = await readReference(`${FOLDER}/${name}`);
  assertLess(maxDifference(await model.forward(inputIds), logits), 1e-4);
}

Deno.test("every quantized model is tried", () => assertEquals(MODELS.length, 5));

for (const name of MODELS) {
  Deno.test(`loadModel() runs ${name} with the logits of its tool`, async () => {
    using reference = createReferenceBackend();
    await check(name, reference);
    using wasm = await createWasmBackend();
    await check(name, wasm);
  });
}

gpuTest("loadModel() runs every quantized model on WebGPU", async () => {
  using backend = await createWebGpuBackend();
  for (const name of MODELS) await check(name, backend);
});
