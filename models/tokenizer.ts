// Text to token ids and back, through Hugging Face's own reader of `tokenizer.json`, loaded when first used.
import { type FileSet, openDirectory, openFileSource, openGguf, readText } from "../io/mod.ts";
import { readGgufTokenizer } from "./_gguf_tokenizer.ts";

/** A model's tokenizer. */
export interface Tokenizer {
  /** The token that begins a text, if the tokenizer puts one there. */
  readonly bosTokenId?: number;
  /**
   * Token ids of a text. Special tokens written out in the text, such as `<|endoftext|>`, become their ids.
   *
   * @param text The text.
   * @param options `addSpecialTokens: false` leaves out the tokens before and after the text.
   */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): Uint32Array<ArrayBuffer>;
  /**
   * The text of token ids, special tokens left out. Bytes that are not whole UTF-8 become U+FFFD.
   *
   * @param ids Token ids.
   */
  decode(ids: ArrayLike<number>): string;
}

/**
 * Loads the tokenizer of a checkpoint: `tokenizer.json`, with `tokenizer_config.json` where there is one.
 *
 * A text begins with the tokens that the file's post-processor adds. Where it has no post-processor at all, the
 * `bos_token` of `tokenizer_config.json` comes first, unless `add_bos_token` is false.
 *
 * @param directory Path of the folder or of a `.gguf` file, or the files of a folder by other means.
 * @returns The tokenizer.
 * @throws {TypeError} If a GGUF file has a tokenizer that is not of the byte-pair kind.
 * @throws {Error} If there is no `tokenizer.json`.
 * @throws {SyntaxError} If a file is malformed.
 *
 * @example Usage
 * ```ts
 * import { loadTokenizer } from "@quik/quant/models";
 * import { assertEquals } from "@std/assert";
 *
 * const tokenizer = await loadTokenizer("examples/demo_model");
 * assertEquals(tokenizer.decode(tokenizer.encode("Call me Ishmael.")), "Call me Ishmael.");
 * ```
 */
export async function loadTokenizer(directory: string | FileSet): Promise<Tokenizer> {
  const { json, config } = await readFiles(directory);
  const { Tokenizer: HuggingFaceTokenizer } = await import("@huggingface/tokenizers");
  const inner = new HuggingFaceTokenizer(json, config);
  const encode = (text: string, special: boolean) => inner.encode(text, { add_special_tokens: special }).ids;
  // The first token of a text with special tokens is the post-processor's if it is not the text's own.
  const first = encode("a", true)[0];
  const processed = first === encode("a", false)[0] ? undefined : first;
  const missing = processed === undefined ? findBos(json, config) : undefined;
  return {
    bosTokenId: processed ?? missing,
    encode(text: string, options = {}): Uint32Array<ArrayBuffer> {
      const { addSpecialTokens = true } = options;
      const ids = encode(text, addSpecialTokens);
      const prefixed = addSpecialTokens && missing !== undefined && ids[0] !== missing;
      return Uint32Array.from(prefixed ? [missing, ...ids] : ids);
    },
    decode: (ids) => ids.length === 0 ? "" : inner.decode(Array.from(ids), { skip_special_tokens: true }),
  };
}

type Json = Readonly<Record<string, unknown>>;

async function readFiles(directory: string | FileSet): Promise<{ json: Json; config: Json }> {
  if (typeof directory === "string" && directory.endsWith(".gguf")) {
    await using gguf = await openGguf(await openFileSource(directory));
    return readGgufTokenizer(gguf);
  }
  const files = typeof directory === "string" ? openDirectory(directory) : directory;
  const json = await readJson(files, "tokenizer.json");
  const hasConfig = await files.has("tokenizer_config.json");
  return { json, config: hasConfig ? await readJson(files, "tokenizer_config.json") : {} };
}

async function readJson(files: FileSet, fileName: string): Promise<Json> {
  await using source = await files.open(fileName);
  const text = await readText(source);
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Json;
  } catch (error) {
    throw new SyntaxError(`Cannot read ${source.name} as JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
  throw new SyntaxError(`Cannot read ${source.name}: it is not a JSON object`);
}

/** The id of `bos_token`, for a tokenizer whose file says nothing of what begins a text. */
function findBos(json: Json, config: Json): number | undefined {
  if (json.post_processor || config.add_bos_token === false) return undefined;
  const token = config.bos_token;
  const content = typeof token === "string" ? token : (token as { content?: unknown } | undefined)?.content;
  const added = Array.isArray(json.added_tokens) ? json.added_tokens : [];
  return added.find((entry) => entry.content === content)?.id;
}
