// The same model with real outliers: some channels of every norm made large, what reads them made small by as much.
import {
  encodeSafetensors,
  type FileSet,
  memoryFiles,
  openCheckpoint,
  openDirectory,
  type TensorReader,
} from "../io/mod.ts";
import { amplifyChannels, createMatrix, type Matrix } from "../quant/mod.ts";

/** Options of {@linkcode amplifyCheckpoint}. */
export interface AmplifyCheckpointOptions {
  /** Channels of the residual stream. Default: 1 in 64, evenly spread. */
  readonly channels?: readonly number[];
  /** Factor of the norm gains in these channels. Default 30. */
  readonly factor?: number;
}

/**
 * Rewrites a checkpoint so that a few channels of the inputs of its attention and feed-forward layers are `factor` times
 * larger, and the weights that read them as much smaller: the model computes what it did, but its activations have the
 * outlier columns that large models have. Weights become float32, so that the rescaling stays exact.
 *
 * @param directory Path of the folder of a LLaMA, Mistral or Qwen model, or its files by other means.
 * @param options Channels and factor.
 * @returns The files of the rescaled model, its weights in memory.
 * @throws {RangeError} If the model has other layers than those, or a channel is not one of the model's.
 */
export async function amplifyCheckpoint(
  directory: string | FileSet,
  options: AmplifyCheckpointOptions = {},
): Promise<FileSet> {
  const files = typeof directory === "string" ? openDirectory(directory) : directory;
  await using reader = await openCheckpoint(files);
  const weights = await readWeights(reader);
  const gain = weights.get("model.norm.weight");
  if (!gain || !weights.has("model.layers.0.input_layernorm.weight")) {
    throw new RangeError(
      `Cannot amplify channels of ${files.name}: it is not a LLaMA, Mistral or Qwen model`,
    );
  }
  const { channels = spread(gain.cols), factor } = options;
  const bad = channels.find((channel) => !Number.isInteger(channel) || channel < 0 || channel >= gain.cols);
  if (bad !== undefined) throw new RangeError(`Cannot amplify channel ${bad}: the model has ${gain.cols}`);
  const amplified = amplifyChannels(weights, { channels, factor });
  const changed = memoryFiles({ "model.safetensors": await encode(reader, amplified) }, { name: files.name });
  return {
    name: files.name,
    has: async (name) => await changed.has(name) || (!isWeightFile(name) && await files.has(name)),
    open: async (name) => await (await changed.has(name) ? changed : files).open(name),
  };
}

/** One channel in 64, at least one. */
function spread(width: number): number[] {
  const count = Math.max(1, width >> 6);
  return Array.from({ length: count }, (_, i) => Math.floor((i + 0.5) * width / count));
}

/** Shards and their index must not be found beside the new file. */
function isWeightFile(name: string): boolean {
  return /\.safetensors(\.index\.json)?$/.test(name);
}

async function readWeights(reader: TensorReader): Promise<Map<string, Matrix>> {
  const weights = new Map<string, Matrix>();
  for (const { name, shape } of reader.tensors.values()) {
    const cols = shape.at(-1) ?? 1;
    const data = await reader.readFloat32(name);
    weights.set(name, createMatrix(data.length / cols, cols, data));
  }
  return weights;
}

async function encode(
  reader: TensorReader,
  weights: ReadonlyMap<string, Matrix>,
): Promise<Uint8Array<ArrayBuffer>> {
  const tensors = [...reader.tensors.values()].map(({ name, shape }) => {
    return { name, shape, type: "F32" as const, data: weights.get(name)!.data };
  });
  return await encodeSafetensors(tensors);
}
