// Generation: the greedy continuations of Transformers, sampling by seed, and how it ends.
import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import {
  type Backend,
  createReferenceBackend,
  createWasmBackend,
  createWebGpuBackend,
} from "../../kernels/mod.ts";
import { generate, type GenerateOptions, loadModel, type Model } from "../../models/mod.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { DEMO, GOLDEN, readGreedy } from "./_fixtures.ts";

async function withModel(
  directory: string,
  backend: Backend,
  test: (model: Model) => Promise<void>,
): Promise<void> {
  using owned = backend;
  using model = await loadModel(directory, { backend: owned });
  await test(model);
}

const collect = async (model: Model, prompt: Uint32Array<ArrayBuffer>, options?: GenerateOptions) =>
  (await Array.fromAsync(generate(model, prompt, options))).map((token) => token.id);

const PROMPT = Uint32Array.of(1, 5, 9);

Deno.test("generate() continues the demo prompts token for token, text included", async () => {
  await withModel(DEMO, await createWasmBackend(), async (model) => {
    for (const { prompt, output_ids, text } of readGreedy()) {
      const tokens = await Array.fromAsync(generate(model, prompt, { maxTokens: output_ids.length }));
      assertEquals(tokens.map((token) => token.id), output_ids);
      assertEquals(tokens.map((token) => token.text).join(""), text);
    }
  });
});

gpuTest("generate() on WebGPU chooses the same tokens while earlier ones are read back", async () => {
  await withModel(DEMO, await createWebGpuBackend(), async (model) => {
    const [{ prompt, output_ids }] = readGreedy();
    const options = { maxTokens: 16 };
    const tokens = await Array.fromAsync(generate(model, prompt, options));
    assertEquals(tokens.map((token) => token.id), output_ids.slice(0, 16));
    const stopped = await Array.fromAsync(
      generate(model, prompt, { ...options, stopTokenIds: [output_ids[3]] }),
    );
    assertEquals(stopped.map((token) => token.id), output_ids.slice(0, 3));
  });
});

Deno.test("generate() samples by its seed", () =>
  withModel(`${GOLDEN}/llama-gqa`, createReferenceBackend(), async (model) => {
    const options = { maxTokens: 20, temperature: 1, topK: 50, topP: 0.95, stopTokenIds: [] };
    const first = await collect(model, PROMPT, { ...options, seed: 1 });
    assertEquals(await collect(model, PROMPT, { ...options, seed: 1 }), first);
    assertNotEquals(await collect(model, PROMPT, { ...options, seed: 2 }), first);
  }));

Deno.test("generate() ends at a stop token, which it does not give out", () =>
  withModel(`${GOLDEN}/llama-gqa`, createReferenceBackend(), async (model) => {
    const all = await collect(model, PROMPT, { maxTokens: 8, stopTokenIds: [] });
    const stop = all[3];
    const ended = await collect(model, PROMPT, { maxTokens: 8, stopTokenIds: [stop] });
    assertEquals(ended, all.slice(0, all.indexOf(stop)));
  }));

Deno.test("generate() ends when the positions of the model are used up", () =>
  withModel(`${GOLDEN}/llama-gqa`, createReferenceBackend(), async (model) => {
    const prompt = new Uint32Array(62).fill(7);
    const ids = await collect(model, prompt, { maxTokens: 100, stopTokenIds: [] });
    // Positions 62 and 63 are run; the token after the last position is chosen, but has no place to be run.
    assertEquals(ids.length, 3);
    const full = new Uint32Array(64).fill(7);
    assertEquals((await collect(model, full, { maxTokens: 100, stopTokenIds: [] })).length, 1);
  }));

Deno.test("generate() stops at a signal", () =>
  withModel(`${GOLDEN}/llama-gqa`, createReferenceBackend(), async (model) => {
    const controller = new AbortController();
    const seen: number[] = [];
    await assertRejects(
      async () => {
        const options = { maxTokens: 10, stopTokenIds: [], signal: controller.signal };
        for await (const { id } of generate(model, PROMPT, options)) {
          seen.push(id);
          if (seen.length === 2) controller.abort(new Error("enough"));
        }
      },
      Error,
      "enough",
    );
    assertEquals(seen.length, 2);
  }));

Deno.test("generate() rejects what it cannot do", () =>
  withModel(`${GOLDEN}/llama-gqa`, createReferenceBackend(), async (model) => {
    const bad: [Uint32Array<ArrayBuffer>, GenerateOptions, string][] = [
      [new Uint32Array(0), {}, "no tokens"],
      [new Uint32Array(65), {}, "max_position_embeddings 64"],
      [PROMPT, { maxTokens: 0 }, "Cannot generate 0 tokens"],
      [PROMPT, { temperature: -1 }, "Cannot sample at temperature -1"],
      [PROMPT, { temperature: NaN }, "Cannot sample at temperature NaN"],
      [PROMPT, { topK: 0 }, "Cannot sample among the top 0"],
      [PROMPT, { topP: 1.5 }, "Cannot sample with topP 1.5"],
    ];
    for (const [prompt, options, problem] of bad) {
      await assertRejects(() => collect(model, prompt, options), RangeError, problem);
    }
    await assertRejects(
      () => Array.fromAsync(generate(model, "text")),
      Error,
      "tokenizer.json: no such file",
    );
  }));
