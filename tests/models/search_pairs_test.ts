// OmniQuant's pairs in whole models: identities before rounding, and never worse by their own measure.
import { createReferenceBackend } from "../../kernels/mod.ts";
import { headwiseCache, loadModel, rewriteModel, searchPairs } from "../../models/mod.ts";
import { methods } from "../../quant/mod.ts";
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { GOLDEN, maxDifference, readReference } from "./_fixtures.ts";

const linear = methods["rtn-w4a4"];
const cache = headwiseCache({ bits: 4 });

for (const name of ["llama-gqa", "llama-tied-bias", "qwen2", "qwen3", "opt", "falcon", "gpt2"]) {
  Deno.test(`searchPairs() leaves the logits of ${name} as they were, and no block worse`, async () => {
    using backend = createReferenceBackend();
    using model = await loadModel(`${GOLDEN}/${name}`, { backend });
    const { inputIds, logits } = await readReference(`${GOLDEN}/${name}`);
    const before = await model.forward(inputIds);
    const { weights, choices, outputScales } = await searchPairs(model, {
      ...{ windows: [inputIds, inputIds.slice(0, 9)], linear, cache, steps: 4, margin: 0 },
    });
    using rewritten = rewriteModel(model, weights);
    const largest = logits.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    assertLess(maxDifference(await rewritten.forward(inputIds), logits) / largest, 1e-5);
    assertEquals(await model.forward(inputIds), before, "the model is not changed");

    const perBlock = name === "qwen3" ? 1 : 2; // Qwen 3 norms its query and key heads.
    assertEquals(choices.length, perBlock * model.config.layers);
    assert(choices.some(({ alpha }) => alpha !== undefined), "some scale is better than none");
    for (const { alpha, losses } of choices) {
      assertEquals(losses.length, 6);
      assertEquals(alpha === undefined, Math.min(...losses) === losses[0]);
      if (alpha !== undefined) assertEquals(losses[1 + 4 * alpha], Math.min(...losses));
    }
    const chosen = choices.filter(({ alpha }) => alpha !== undefined).map(({ layer }) => layer);
    for (const layer of chosen) assert(outputScales.has(layer), layer);
  });
}

Deno.test("searchPairs() leaves queries and keys alone where the cache is exact", async () => {
  using backend = createReferenceBackend();
  using model = await loadModel(`${GOLDEN}/llama-gqa`, { backend });
  const windows = [Uint32Array.from({ length: 20 }, (_, i) => i)];
  const { choices } = await searchPairs(model, { windows, linear, steps: 2 });
  assert(choices.every(({ layer }) => layer.endsWith("v_proj")));
  for (const margin of [0.01, 0.9]) {
    const { choices } = await searchPairs(model, { windows, linear, steps: 2, margin });
    for (const { alpha, losses } of choices) {
      assertEquals(alpha !== undefined, Math.min(...losses) < (1 - margin) * losses[0]);
    }
  }
  await assertRejects(() => searchPairs(model, { windows: [], linear }), RangeError, "no text");
});
