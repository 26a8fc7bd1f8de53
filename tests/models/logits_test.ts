// Logits of every architecture against Transformers.
import { assertEquals, assertLess, assertRejects } from "@std/assert";
import {
  type Backend,
  createReferenceBackend,
  createWasmBackend,
  createWebGpuBackend,
} from "../../kernels/mod.ts";
import { loadModel, ModelCache } from "../../models/mod.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { DEMO, GOLDEN, maxDifference, readReference } from "./_fixtures.ts";

/** Folders of tiny models: the common architectures, and their variants. */
const FOLDERS = [GOLDEN, "tests/fixtures/models"];

const MODELS = FOLDERS.flatMap((folder) =>
  Array.from(Deno.readDirSync(folder)).filter((entry) => entry.isDirectory).map(({ name }) =>
    `${folder}/${name}`
  )
);

Deno.test("every golden model is tried", () => assertEquals(MODELS.length, 16));

async function checkLogits(directory: string, backend: Backend): Promise<void> {
  using model = await loadModel(directory, { backend });
  const { inputIds, logits } = await readReference(directory);
  assertLess(maxDifference(await model.forward(inputIds), logits), 1e-4);
}

for (const directory of [...MODELS, DEMO]) {
  Deno.test(`forward() of ${directory} gives the logits of Transformers`, async () => {
    using reference = createReferenceBackend();
    await checkLogits(directory, reference);
    using wasm = await createWasmBackend();
    await checkLogits(directory, wasm);
  });
}

gpuTest("forward() of every model on WebGPU gives the logits of Transformers", async () => {
  using backend = await createWebGpuBackend();
  for (const directory of [...MODELS, DEMO]) await checkLogits(directory, backend);
});

for (const name of ["llama-gqa", "opt"]) {
  Deno.test(`forwardHidden() of ${name} through a cache equals one pass over all tokens`, async () => {
    using backend = createReferenceBackend();
    using model = await loadModel(`${GOLDEN}/${name}`, { backend });
    const { inputIds, logits } = await readReference(`${GOLDEN}/${name}`);
    using cache = new ModelCache(model, 32);
    const collected: number[] = [];
    for (const [begin, end] of [[0, 7], [7, 8], [8, 24]]) {
      using hidden = await model.forwardHidden(inputIds.slice(begin, end), { cache });
      using part = await model.logits(hidden);
      collected.push(...(await part.toMatrix()).data);
    }
    assertEquals(cache.length, 24);
    assertLess(maxDifference(Float32Array.from(collected), logits), 1e-4);
  });
}

Deno.test("forward() rejects tokens that the model cannot take", async () => {
  using backend = createReferenceBackend();
  using model = await loadModel(`${GOLDEN}/llama-gqa`, { backend });
  await assertRejects(() => model.forward(new Uint32Array(0)), RangeError, "no tokens");
  await assertRejects(
    () => model.forward(new Uint32Array(65)),
    RangeError,
    "Cannot run 65 tokens: the model has max_position_embeddings 64",
  );
  await assertRejects(
    () => model.forward(Uint32Array.of(1, 160)),
    RangeError,
    "Cannot run token id 160: the model has a vocabulary of 160",
  );
  using cache = new ModelCache(model, 3);
  await assertRejects(
    () => model.forwardHidden(new Uint32Array(4), { cache }),
    RangeError,
    "the cache holds 3",
  );
});
