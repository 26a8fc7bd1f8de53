// What an architecture is: a reading of `config.json`, and the way from named tensors to a decoder.
import type { Linear, NormWeights, StoredMatrix } from "../ops/mod.ts";
import { Fields } from "./_fields.ts";
import { readFalcon } from "./_falcon.ts";
import { readGpt2 } from "./_gpt2.ts";
import { readLlama } from "./_llama.ts";
import { readOpt } from "./_opt.ts";
import type { Weights } from "./_weights.ts";
import type { DecoderBlock } from "./block.ts";
import type { ModelConfig, ModelType } from "./config.ts";
import type { LinearSlot } from "./linear_slot.ts";

/** A decoder as data: what a token passes through. */
export interface Decoder {
  /** Token table `[vocabulary, embeddingSize]`. */
  readonly tokens: StoredMatrix;
  /** Learned positions `[maxPositions, hiddenSize]`. */
  readonly positions?: StoredMatrix;
  /** From `embeddingSize` to `hiddenSize`, where they differ. */
  readonly projectIn?: LinearSlot;
  /** The transformer blocks. */
  readonly blocks: readonly DecoderBlock[];
  /** The norm before the head. */
  readonly finalNorm?: NormWeights;
  /** From `hiddenSize` back to `embeddingSize`. */
  readonly projectOut?: LinearSlot;
  /** From hidden state to logits. */
  readonly head: Linear;
}

/** A configuration together with how its weights become a decoder. */
export interface Architecture {
  readonly config: ModelConfig;
  build(weights: Weights): Promise<Decoder>;
}

const READERS: Readonly<Record<ModelType, (fields: Fields, modelType: ModelType) => Architecture>> = {
  llama: readLlama,
  mistral: readLlama,
  qwen2: readLlama,
  qwen3: readLlama,
  opt: readOpt,
  falcon: readFalcon,
  gpt2: readGpt2,
};

/**
 * Chooses the architecture that `config.json` names.
 *
 * @param json The parsed file.
 * @param name What error messages call it.
 * @returns The architecture with its configuration.
 * @throws {TypeError} If the architecture is unknown or a field is missing, malformed or unsupported.
 */
export function readArchitecture(json: unknown, name: string): Architecture {
  const fields = new Fields(json, name);
  const modelType = fields.text("model_type");
  if (!Object.hasOwn(READERS, modelType)) {
    fields.fail("model_type", `one of ${Object.keys(READERS).join(", ")}`, modelType);
  }
  return READERS[modelType as ModelType](fields, modelType as ModelType);
}

/**
 * Reads a model's configuration.
 *
 * @param json The parsed `config.json`.
 * @param options `name`: what error messages call it.
 * @returns The configuration.
 * @throws {TypeError} If the architecture is unknown or a field is missing, malformed or unsupported.
 */
export function parseModelConfig(json: unknown, options: { readonly name?: string } = {}): ModelConfig {
  return readArchitecture(json, options.name ?? "config.json").config;
}
