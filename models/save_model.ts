// Saves a quantized model as a checkpoint directory: codes and scales beside the tensors that stay as they were, the
// configuration with a `quantization_config`, the tokenizer.
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  openCheckpoint,
  openDirectory,
  type QuikCheckpointConfig,
  type QuikModule,
  quikTensors,
  readText,
  type TensorReader,
  type TensorToWrite,
  writeSafetensors,
} from "../io/mod.ts";
import { DeviceQuikLinear } from "../ops/mod.ts";
import type { Model } from "./model.ts";

/** Options of {@linkcode saveModel}. */
export interface SaveModelOptions {
  /** Directory of the checkpoint that the model was loaded from: what is not quantized is copied from there. */
  readonly source: string;
}

const COPIED_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "generation_config.json",
];

/**
 * Throws unless a directory can be made or is empty.
 *
 * @param directory Path.
 * @throws {RangeError} If it exists and holds something, or is a file.
 */
export async function requireEmptyDirectory(directory: string): Promise<void> {
  const entries = await readdir(directory).catch((error: { code?: string }) => {
    if (error.code === "ENOENT") return [];
    throw new RangeError(`Cannot write to ${directory}: it is not a directory`);
  });
  if (entries.length > 0) throw new RangeError(`Cannot write to ${directory}: it exists and is not empty`);
}

/**
 * Writes a QUIK model. Everything goes to a temporary directory beside the target, which is renamed when complete, so
 * that a failure leaves nothing behind.
 *
 * @param model The model, quantized by `quantizeModel`.
 * @param directory Where to: a path that does not exist, or an empty directory.
 * @param options The original checkpoint.
 * @throws {RangeError} If the directory is not empty.
 * @throws {TypeError} If no layer is quantized.
 */
export async function saveModel(model: Model, directory: string, options: SaveModelOptions): Promise<void> {
  await requireEmptyDirectory(directory);
  const files = openDirectory(options.source);
  const partial = join(
    dirname(directory),
    `.${basename(directory)}.partial-${crypto.randomUUID().slice(0, 8)}`,
  );
  await mkdir(partial, { recursive: true });
  try {
    await using reader = await openCheckpoint(files);
    const { tensors, modules } = collect(model, reader);
    await writeSafetensors(join(partial, "model.safetensors"), tensors, { metadata: { format: "pt" } });
    await using source = await files.open("config.json");
    const quantization: QuikCheckpointConfig = { quant_method: "quik", version: 1, modules };
    const config = { ...JSON.parse(await readText(source)), quantization_config: quantization };
    await writeFile(join(partial, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
    for (const name of COPIED_FILES) {
      if (!await files.has(name)) continue;
      await using file = await files.open(name);
      await writeFile(join(partial, name), await file.read(0, file.size));
    }
    await rm(directory, { recursive: true, force: true });
    await rename(partial, directory);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

/** The quantized layers, and every tensor of the original that none of them replaces. */
function collect(
  model: Model,
  reader: TensorReader,
): { tensors: TensorToWrite[]; modules: Record<string, QuikModule> } {
  const tensors: TensorToWrite[] = [];
  const modules: Record<string, QuikModule> = {};
  const replaced = new Set<string>();
  for (const slot of model.linears.values()) {
    if (!(slot.linear instanceof DeviceQuikLinear)) continue;
    const { weights, bias, inputs } = slot.linear;
    tensors.push(...quikTensors(slot.name, { weights, bias }));
    modules[slot.name] = { bits: weights.bits, inputs };
    for (const source of slot.sources) replaced.add(source);
  }
  if (replaced.size === 0) throw new TypeError("Cannot save a model as quantized: no layer is");
  for (const { name, type, shape } of reader.tensors.values()) {
    if (!replaced.has(name)) tensors.push({ name, type, shape, data: () => reader.readBytes(name) });
  }
  return { tensors, modules };
}
