// What `config.json` says of a model, in one vocabulary for all architectures.
import type { Activation } from "../kernels/mod.ts";
import type { Fields } from "./_fields.ts";
import type { RopeConfig } from "./rope.ts";

/** Model types, as `model_type` of `config.json` spells them. */
export type ModelType = "llama" | "mistral" | "qwen2" | "qwen3" | "opt" | "falcon" | "gpt2";

/** A model's dimensions and the choices that are common to all architectures. */
export interface ModelConfig {
  /** `model_type` of `config.json`. */
  readonly modelType: ModelType;
  /** Number of token ids. */
  readonly vocabularySize: number;
  /** Width of the residual stream. */
  readonly hiddenSize: number;
  /** Width of the feed-forward layer. */
  readonly intermediateSize: number;
  /** Number of transformer blocks. */
  readonly layers: number;
  /** Number of query heads. */
  readonly heads: number;
  /** Number of key and value heads. */
  readonly kvHeads: number;
  /** Width of a head. */
  readonly headSize: number;
  /** Longest sequence, `max_position_embeddings`. */
  readonly maxPositions: number;
  /** Epsilon of the norms. */
  readonly normEpsilon: number;
  /** Nonlinearity of the feed-forward layer. */
  readonly activation: Activation;
  /** Rotary embedding, or undefined where positions are learned. */
  readonly rope?: RopeConfig;
  /** For each layer, how many of the last positions a query attends; 0 for all. */
  readonly windows: readonly number[];
  /** Whether the head shares the embedding table. */
  readonly tieWordEmbeddings: boolean;
  /** Token that begins a text, if the model has one. */
  readonly bosTokenId?: number;
  /** Tokens that end a generated text. */
  readonly eosTokenIds: readonly number[];
  /** `quantization_config` as it stands, when the checkpoint is quantized. */
  readonly quantization?: unknown;
}

/** `hidden_act` and its relatives, as Transformers spells them. */
export const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  silu: "silu",
  swish: "silu",
  relu: "relu",
  gelu: "gelu",
  gelu_new: "gelu_tanh",
  gelu_fast: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
};

/** The fields that every `config.json` names alike. */
export function readCommonFields(
  fields: Fields,
): Pick<ModelConfig, "vocabularySize" | "bosTokenId" | "eosTokenIds" | "quantization"> {
  return {
    vocabularySize: fields.size("vocab_size"),
    bosTokenId: fields.tokenIds("bos_token_id").at(0),
    eosTokenIds: fields.tokenIds("eos_token_id"),
    quantization: fields.raw("quantization_config"),
  };
}

/**
 * The width of a head, checked: heads must divide the width where none is given, and key heads the query heads.
 *
 * @param fields Fields of `config.json`.
 * @param sizes Width of the residual stream, number of query and key heads.
 * @returns `head_dim`, or the width over the heads.
 */
export function readHeadSize(
  fields: Fields,
  sizes: { readonly hiddenSize: number; readonly heads: number; readonly kvHeads: number },
): number {
  const { hiddenSize, heads, kvHeads } = sizes;
  if (heads % kvHeads !== 0) fields.fail("num_key_value_heads", `a divisor of ${heads} heads`, kvHeads);
  if (fields.has("head_dim")) return fields.size("head_dim");
  if (hiddenSize % heads !== 0) fields.fail("num_attention_heads", `a divisor of width ${hiddenSize}`, heads);
  return hiddenSize / heads;
}
