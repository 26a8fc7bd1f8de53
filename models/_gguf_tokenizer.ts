// The tokenizer of a GGUF file in the words of `tokenizer.json`.
import type { GgufReader } from "../io/mod.ts";
import type { JsonObject } from "./_fields.ts";

/** Kinds of tokens in a GGUF vocabulary. */
const CONTROL = 3;
const USER_DEFINED = 4;

/** How text is cut before merging, by the name that llama.cpp gives it; without a pattern GPT-2's own. */
const PATTERNS: Readonly<Record<string, string | undefined>> = {
  default: undefined,
  "gpt-2": undefined,
  "llama-bpe":
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  qwen2: "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
};

/**
 * The tokenizer of a file, which must be of the byte-pair kind.
 *
 * @param reader The file.
 * @returns The contents of `tokenizer.json` and `tokenizer_config.json`.
 * @throws {TypeError} If it has no tokenizer, or one of another kind.
 */
export function readGgufTokenizer(reader: GgufReader): { json: JsonObject; config: JsonObject } {
  const { metadata, name } = reader;
  const get = (key: string) => metadata.get(`tokenizer.ggml.${key}`);
  const tokens = get("tokens");
  const merges = get("merges");
  const pre = get("pre") ?? "default";
  if (get("model") !== "gpt2" || !Array.isArray(tokens) || !Array.isArray(merges)) {
    throw new TypeError(
      `Cannot read the tokenizer of ${name}: only byte-pair tokenizers (model gpt2) are supported`,
    );
  }
  if (typeof pre !== "string" || !Object.hasOwn(PATTERNS, pre)) {
    throw new TypeError(`Cannot read the tokenizer of ${name}: its pre-tokenizer ${pre} is not supported`);
  }
  const types = get("token_type");
  const kinds: readonly unknown[] = Array.isArray(types) ? types : [];
  const added = tokens.map((content, id) => ({
    id,
    content,
    special: kinds[id] === CONTROL,
    kind: kinds[id],
  }))
    .filter(({ kind }) => kind === CONTROL || kind === USER_DEFINED);
  const bosId = get("bos_token_id");
  const addsBos = get("add_bos_token") ?? pre === "llama-bpe";
  const pattern = PATTERNS[pre];
  const bytes = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: pattern === undefined,
  };
  const split = { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
  const json = {
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: pattern === undefined ? bytes : { type: "Sequence", pretokenizers: [split, bytes] },
    post_processor: null,
    decoder: { ...bytes, use_regex: true },
    model: { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
  };
  const bos = typeof bosId === "number" ? tokens[bosId] : undefined;
  return { json, config: { bos_token: bos, add_bos_token: addsBos } };
}
