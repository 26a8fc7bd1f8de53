// Which architecture a `config.json` names.
import { Fields } from "./_fields.ts";
import { readFalcon } from "./_falcon.ts";
import { readGpt2 } from "./_gpt2.ts";
import { readLlama } from "./_llama.ts";
import { readOpt } from "./_opt.ts";
import type { ModelConfig, ModelType } from "./config.ts";
import type { Architecture } from "./decoder.ts";

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
