// From a checkpoint folder or a GGUF file to a model.
import {
  type FileSet,
  openCheckpoint,
  openDirectory,
  openFileSource,
  openGguf,
  readText,
  type TensorReader,
} from "../io/mod.ts";
import type { Backend } from "../kernels/mod.ts";
import { readGgufConfig } from "./_gguf_config.ts";
import { openGgufWeights } from "./_gguf_weights.ts";
import { Weights, type WeightsOptions } from "./_weights.ts";
import { readArchitecture } from "./architecture.ts";
import type { Architecture } from "./decoder.ts";
import { Model } from "./model.ts";
import { type LayerPlace, restoreLinear } from "./restore_linear.ts";
import { loadTokenizer, type Tokenizer } from "./tokenizer.ts";

/** Options of {@linkcode loadModel}. */
export interface LoadModelOptions {
  /** Where the model is to run. It must outlive the model. */
  readonly backend: Backend;
}

/**
 * Loads a model from a checkpoint in the Hugging Face layout: `config.json` and safetensors, sharded or not, as
 * published or quantized by this library, GPTQ, AWQ, compressed-tensors or bitsandbytes; or from a GGUF file of the LLaMA
 * family. Weights keep their storage type.
 *
 * @param directory Path of the folder or of the `.gguf` file, or the files of a folder by other means.
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
  const tokenizer = () => loadTokenizer(directory);
  if (typeof directory === "string" && directory.endsWith(".gguf")) {
    await using gguf = await openGguf(await openFileSource(directory));
    const { json, interleavedRope } = readGgufConfig(gguf);
    const architecture = readArchitecture(json, gguf.name);
    const { config } = architecture;
    const { reader, restore } = openGgufWeights(gguf, { config, backend, interleavedRope });
    return await assemble(architecture, reader, { backend, restore, tokenizer });
  }
  const files = typeof directory === "string" ? openDirectory(directory) : directory;
  const architecture = await readConfig(files);
  await using reader = await openCheckpoint(files);
  const { quantization } = architecture.config;
  const restore = quantization === undefined
    ? undefined
    : (place: LayerPlace) => restoreLinear(place, reader, { backend, config: quantization });
  return await assemble(architecture, reader, { backend, restore, tokenizer });
}

async function assemble(
  architecture: Architecture,
  reader: TensorReader,
  options: WeightsOptions & { readonly tokenizer: () => Promise<Tokenizer> },
): Promise<Model> {
  const { config, build } = architecture;
  const weights = new Weights(reader, options);
  try {
    const decoder = await build(weights);
    weights.checkAllUsed({ allow: config.tieWordEmbeddings ? ["lm_head.weight"] : [] });
    return new Model(options.backend, {
      config,
      decoder,
      loadTokenizer: options.tokenizer,
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
