// Perplexity of the demo model, window by window, against Transformers.
import { assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { createReferenceBackend, createWasmBackend } from "../../kernels/mod.ts";
import { loadModel, perplexity, type PerplexityProgress } from "../../models/mod.ts";
import { DEMO, GOLDEN, readReference } from "./_fixtures.ts";

const { valid_window_nll: windowNll } = JSON.parse(Deno.readTextFileSync(`${DEMO}/reference.json`));

Deno.test("perplexity() of the demo model has the windows of Transformers", async () => {
  using backend = await createWasmBackend();
  using model = await loadModel(DEMO, { backend });
  const ids = (await model.tokenizer()).encode(Deno.readTextFileSync(`${DEMO}/valid.txt`));
  assertEquals(Math.floor(ids.length / 512), windowNll.length);
  const progress: PerplexityProgress[] = [];
  const result = await perplexity(model, ids, {
    window: 512,
    windows: 3,
    onProgress: (p) => progress.push(p),
  });
  result.windowNll.forEach((nll, i) => assertAlmostEquals(nll, windowNll[i], 1e-5));
  const mean = (windowNll[0] + windowNll[1] + windowNll[2]) / 3;
  assertAlmostEquals(result.perplexity, Math.exp(mean), 1e-3);
  assertEquals([result.windows, result.tokens], [3, 3 * 511]);
  assertEquals(progress.map(({ done, total }) => [done, total]), [[1, 3], [2, 3], [3, 3]]);
  assertEquals(progress[2].perplexity, result.perplexity);
});

Deno.test("perplexity() drops the tail and equals the softmax of forward()", async () => {
  using backend = createReferenceBackend();
  using model = await loadModel(`${GOLDEN}/llama-gqa`, { backend });
  const { inputIds } = await readReference(`${GOLDEN}/llama-gqa`);
  const result = await perplexity(model, inputIds, { window: 10 });
  assertEquals(result.windowNll.length, 2);
  const second = inputIds.slice(10, 20);
  const logits = await model.forward(second);
  const vocabulary = model.config.vocabularySize;
  let sum = 0;
  for (let row = 0; row < 9; row++) {
    const values = logits.slice(row * vocabulary, (row + 1) * vocabulary);
    sum += Math.log(values.reduce((total, z) => total + Math.exp(z), 0)) - values[second[row + 1]];
  }
  assertAlmostEquals(result.windowNll[1], sum / 9, 1e-5);
});

Deno.test("perplexity() stops at a signal and rejects windows that do not fit", async () => {
  using backend = createReferenceBackend();
  using model = await loadModel(`${GOLDEN}/llama-gqa`, { backend });
  const ids = new Uint32Array(40).fill(3);
  const controller = new AbortController();
  const windows: number[] = [];
  const onProgress = ({ done }: PerplexityProgress) => {
    windows.push(done);
    if (done === 2) controller.abort(new Error("enough"));
  };
  await assertRejects(
    () => perplexity(model, ids, { window: 4, signal: controller.signal, onProgress }),
    Error,
    "enough",
  );
  assertEquals(windows.at(-1)! < 10, true);
  const bad: [number, number | undefined, Uint32Array<ArrayBuffer>, string][] = [
    [1, undefined, ids, "Cannot evaluate windows of 1 tokens"],
    [65, undefined, ids, "the model takes 2 to 64 (max_position_embeddings)"],
    [4.5, undefined, ids, "Cannot evaluate windows of 4.5 tokens"],
    [4, 0, ids, "Cannot evaluate 0 windows"],
    [8, undefined, new Uint32Array(7), "Cannot evaluate a text of 7 tokens: one window has 8"],
    [8, undefined, new Uint32Array(0), "Cannot evaluate a text of 0 tokens"],
  ];
  for (const [window, count, text, problem] of bad) {
    await assertRejects(() => perplexity(model, text, { window, windows: count }), RangeError, problem);
  }
});
