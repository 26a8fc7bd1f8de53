// From a checkpoint folder to a model.
import { type FileSet, openCheckpoint, openDirectory, readText } from "../io/mod.ts";
import type { Backend } from "../kernels/mod.ts";
import { Weights } from "./_weights.ts";
import { type Architecture, readArchitecture } from "./architecture.ts";
import { Model } from "./model.ts";
import { loadTokenizer } from "./tokenizer.ts";

/** Options of {@linkcode loadModel}. */
export interface LoadModelOptions {
  /** Where the model is to run. It must outlive the model. */
  readonly backend: Backend;
}

/**
 * Loads a model from a checkpoint in the Hugging Face layout: `config.json` and safetensors, sharded or not, as
 * published or quantized by this library. Weights keep their storage type.
 *
 * @param directory Path of the folder, or its files by other means.
 * @param options The backend.
 * @returns The model; dispose of it to free its memory.
 * @throws {TypeError} If the architecture, a type or the configuration is unsupported.
 * @throws {RangeError} If a tensor is missing, has the wrong shape, or holds NaN or infinity; or if the checkpoint has
 * tensors that the configuration does not account for.
 * @throws {SyntaxError} If a file is malformed.
 *
 * @example Usage
 * ```ts
 * import { createReferenceBackend } from "@quik/quant/kernels";
 * import { loadModel } from "@quik/quant/models";
 * import { assertEquals } from "@std/assert";
 *
 * using backend = createReferenceBackend();
 * using model = await loadModel("tests/fixtures/golden/models/llama-gqa", { backend });
 * const logits = await model.forward(Uint32Array.of(1, 2, 3));
 * assertEquals(logits.length, 3 * model.config.vocabularySize);
 * ```
 */
export async function loadModel(directory: string | FileSet, options: LoadModelOptions): Promise<Model> {
  const { backend } = options;
  const files = typeof directory === "string" ? openDirectory(directory) : directory;
  const { config, build } = await readConfig(files);
  await using reader = await openCheckpoint(files);
  const weights = new Weights(reader, { backend, quantization: config.quantization });
  try {
    const decoder = await build(weights);
    weights.checkAllUsed({ allow: config.tieWordEmbeddings ? ["lm_head.weight"] : [] });
    return new Model(backend, {
      config,
      decoder,
      loadTokenizer: () => loadTokenizer(files),
      dispose: () => weights.dispose(),
    });
  } catch (error) {
    weights.dispose();
    throw error;
  }
}

async function readConfig(files: FileSet): Promise<Architecture> {
  await using source = await files.open("config.json");
  const text = await readText(source);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`Cannot read ${source.name} as JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return readArchitecture(json, source.name);
}
