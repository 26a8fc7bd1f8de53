// Tokenizers: what Hugging Face's gives for the demo model, and what begins a text.
import { assertEquals, assertRejects } from "@std/assert";
import { memoryFiles } from "../../io/mod.ts";
import { loadTokenizer } from "../../models/mod.ts";
import { DEMO, readGreedy } from "./_fixtures.ts";

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** A tokenizer of single bytes with the given post-processor. */
function byteTokenizer(postProcessor: unknown, config: unknown) {
  const vocab: Record<string, number> = { "<s>": 0, "</s>": 1, a: 2, b: 3 };
  return memoryFiles({
    "tokenizer.json": json({
      added_tokens: ["<s>", "</s>"].map((content, id) => ({ id, content, special: true })),
      normalizer: null,
      pre_tokenizer: null,
      post_processor: postProcessor,
      decoder: null,
      model: { type: "BPE", vocab, merges: [] },
    }),
    "tokenizer_config.json": json(config),
  });
}

const TEMPLATE = {
  type: "TemplateProcessing",
  single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
  pair: [],
  special_tokens: { "<s>": { id: "<s>", ids: [0], tokens: ["<s>"] } },
};

Deno.test("loadTokenizer() encodes prompts and decodes outputs like Transformers", async () => {
  const tokenizer = await loadTokenizer(DEMO);
  assertEquals(tokenizer.bosTokenId, 0);
  for (const { prompt, prompt_ids, output_ids, text } of readGreedy()) {
    assertEquals([...tokenizer.encode(prompt)], prompt_ids);
    assertEquals([...tokenizer.encode(prompt, { addSpecialTokens: false })], prompt_ids.slice(1));
    assertEquals(tokenizer.decode(Uint32Array.from(output_ids)), text);
  }
});

Deno.test("encode() turns written special tokens into their ids and does not repeat the first", async () => {
  const tokenizer = await loadTokenizer(DEMO);
  const [bos, word] = tokenizer.encode("The");
  assertEquals([...tokenizer.encode("<|endoftext|>The<|endoftext|>")], [bos, word, bos]);
  assertEquals(tokenizer.decode(Uint32Array.of(bos, word)), "The");
});

const BEGINNINGS: [about: string, postProcessor: unknown, config: unknown, ids: number[]][] = [
  ["a template adds it", TEMPLATE, { bos_token: "<s>" }, [0, 2, 3]],
  ["there is no post-processor", null, { bos_token: "<s>" }, [0, 2, 3]],
  ["bos_token is an object", null, { bos_token: { content: "<s>" } }, [0, 2, 3]],
  ["add_bos_token is false", null, { bos_token: "<s>", add_bos_token: false }, [2, 3]],
  ["a post-processor adds none", { type: "ByteLevel" }, { bos_token: "<s>" }, [2, 3]],
  ["no bos_token is named", null, {}, [2, 3]],
];

for (const [about, postProcessor, config, ids] of BEGINNINGS) {
  Deno.test(`encode() begins a text as it should when ${about}`, async () => {
    const tokenizer = await loadTokenizer(byteTokenizer(postProcessor, config));
    assertEquals([...tokenizer.encode("ab")], ids);
    assertEquals(tokenizer.bosTokenId, ids.length === 3 ? 0 : undefined);
  });
}

Deno.test("loadTokenizer() says what is wrong with a file", async () => {
  await assertRejects(() => loadTokenizer("tests"), Error, "tests/tokenizer.json: no such file");
  const malformed = memoryFiles({ "tokenizer.json": new TextEncoder().encode("{") });
  await assertRejects(() => loadTokenizer(malformed), SyntaxError, "tokenizer.json as JSON");
  const list = memoryFiles({ "tokenizer.json": json([]) });
  await assertRejects(() => loadTokenizer(list), SyntaxError, "it is not a JSON object");
});
