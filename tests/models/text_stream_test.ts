// Text that comes token by token joins to the whole, with no half characters on the way.
import { assert, assertEquals } from "@std/assert";
import { TextStream } from "../../models/_text_stream.ts";
import { loadTokenizer } from "../../models/mod.ts";
import { DEMO } from "./_fixtures.ts";

for (const text of ["Call me Ishmael.", " Größe — naïve café", "🐳🐋 the whale", "日本語"]) {
  Deno.test(`TextStream gives out ${JSON.stringify(text)} piece by piece`, async () => {
    const tokenizer = await loadTokenizer(DEMO);
    const prompt = tokenizer.encode("A whale is");
    const stream = new TextStream(tokenizer, prompt);
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    const pieces = Array.from(ids, (id) => stream.push(id));
    assertEquals(pieces.join(""), text);
    assert(pieces.every((piece) => !piece.includes("\ufffd")));
  });
}

Deno.test("TextStream gives out bytes that are no character instead of waiting for ever", async () => {
  const tokenizer = await loadTokenizer(DEMO);
  const [first] = tokenizer.encode("🐳", { addSpecialTokens: false });
  const stream = new TextStream(tokenizer, []);
  const pieces = Array.from({ length: 8 }, () => stream.push(first));
  assert(pieces.join("").includes("\ufffd"));
});
