// The metadata of a GGUF file in the words of `config.json`, so that one reading serves both.
import type { GgufReader, GgufValue } from "../io/mod.ts";
import type { JsonObject } from "./_fields.ts";

/** Architectures whose GGUF form is read here, and whether ggml pairs neighbors in their rotary embedding. */
const ARCHITECTURES: Readonly<Record<string, { readonly interleavedRope: boolean }>> = {
  llama: { interleavedRope: true },
  qwen2: { interleavedRope: false },
  qwen3: { interleavedRope: false },
};

/** What a GGUF file says of its model. */
export interface GgufModelInfo {
  /** The fields of a `config.json`. */
  readonly json: JsonObject;
  /** Whether the rows of each query and key head lie in the order of neighboring pairs. */
  readonly interleavedRope: boolean;
}

/**
 * Reads the metadata of a model.
 *
 * @param reader The file.
 * @returns The configuration.
 * @throws {TypeError} If the architecture, or its stretching of rotary frequencies, is not supported.
 */
export function readGgufConfig(reader: GgufReader): GgufModelInfo {
  const { metadata, tensors, name } = reader;
  const architecture = metadata.get("general.architecture");
  if (typeof architecture !== "string" || !Object.hasOwn(ARCHITECTURES, architecture)) {
    const known = Object.keys(ARCHITECTURES).join(", ");
    throw new TypeError(
      `Cannot load ${name}: its architecture ${JSON.stringify(architecture)} is none of ${known}`,
    );
  }
  if (tensors.has("rope_freqs.weight")) {
    throw new TypeError(`Cannot load ${name}: tabulated rotary frequencies are not supported`);
  }
  const get = (key: string) => plain(metadata.get(`${architecture}.${key}`));
  const ropeScaling = get("rope.scaling.type") ?? "none";
  const json = {
    model_type: architecture,
    vocab_size: tensors.get("token_embd.weight")?.shape[0],
    hidden_size: get("embedding_length"),
    intermediate_size: get("feed_forward_length"),
    num_hidden_layers: get("block_count"),
    num_attention_heads: get("attention.head_count"),
    num_key_value_heads: get("attention.head_count_kv"),
    head_dim: get("attention.key_length"),
    max_position_embeddings: get("context_length"),
    rms_norm_eps: get("attention.layer_norm_rms_epsilon"),
    rope_theta: get("rope.freq_base"),
    rope_scaling: ropeScaling === "none"
      ? undefined
      : { rope_type: ropeScaling, factor: get("rope.scaling.factor") },
    attention_bias: architecture !== "qwen2" && tensors.has("blk.0.attn_q.bias"),
    tie_word_embeddings: !tensors.has("output.weight"),
    bos_token_id: plain(metadata.get("tokenizer.ggml.bos_token_id")),
    eos_token_id: plain(metadata.get("tokenizer.ggml.eos_token_id")),
  };
  return { json, ...ARCHITECTURES[architecture] };
}

/** 64-bit integers as numbers. */
function plain(value: GgufValue | undefined): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}
