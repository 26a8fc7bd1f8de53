// GGUF files as models: the logits that Transformers gives on their dequantized weights, and their tokenizer.
import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { openFileSource, openSafetensors } from "../../io/mod.ts";
import { createReferenceBackend } from "../../kernels/mod.ts";
import { loadModel, loadTokenizer } from "../../models/mod.ts";
import { CodebookLinear } from "../../ops/mod.ts";
import { maxDifference } from "./_fixtures.ts";

const FOLDER = "tests/fixtures/gguf";

/** Each file, whether its layers stay in blocks, and how far float16 in place of other blocks may take the logits. */
const FILES: [name: string, keepsBlocks: boolean, tolerance: number][] = [
  ["tiny", false, 1e-4],
  ["tiny_f16", false, 1e-4],
  ["tiny_q8_0", true, 0.01],
  ["tiny_q4_0", true, 0.01],
  ["tiny_q5_1", false, 0.02],
];

for (const [name, keepsBlocks, tolerance] of FILES) {
  Deno.test(`loadModel() runs ${name}.gguf with the logits of its dequantized weights`, async () => {
    await using expected = await openSafetensors(await openFileSource(`${FOLDER}/tiny.safetensors`));
    using backend = createReferenceBackend();
    using model = await loadModel(`${FOLDER}/${name}.gguf`, { backend });
    for (const { linear } of model.linears.values()) {
      assertEquals(linear instanceof CodebookLinear, keepsBlocks);
    }
    const ids = Uint32Array.from(await expected.readFloat32("input_ids"));
    assertLess(maxDifference(await model.forward(ids), await expected.readFloat32(name)), tolerance);
  });
}

Deno.test("loadTokenizer() reads the byte-pair tokenizer of a GGUF file", async () => {
  const tokenizer = await loadTokenizer(`${FOLDER}/tiny.gguf`);
  assertEquals([...tokenizer.encode("ab ab a")], [0, 30, 31, 29]);
  assertEquals(tokenizer.decode([0, 30, 31, 29, 1]), "ab ab a");
});

Deno.test("loadModel() refuses a GGUF file that is no whole model", async () => {
  using backend = createReferenceBackend();
  await assertRejects(
    () => loadModel(`${FOLDER}/blocks.gguf`, { backend }),
    TypeError,
    "Cannot read tests/fixtures/gguf/blocks.gguf: hidden_size must be a positive integer, it is missing",
  );
  await assertRejects(() => loadTokenizer(`${FOLDER}/blocks.gguf`), TypeError, "only byte-pair tokenizers");
  await assertRejects(
    () => loadModel("absent.gguf", { backend }),
    Error,
    "Cannot open absent.gguf: no such file",
  );
});
