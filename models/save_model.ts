// Saves a quantized model as a checkpoint directory: codes and scales beside the tensors that stay as they were, the
// configuration with a `quantization_config`, the tokenizer.
import {
  openCheckpoint,
  openDirectory,
  type QuikCheckpointConfig,
  type QuikModule,
  quikTensors,
  readText,
  type TensorReader,
  type TensorToWrite,
  writeDirectory,
  writeSafetensors,
  writeSmallFile,
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
  const files = openDirectory(options.source);
  await writeDirectory(directory, async (temporary) => {
    await using reader = await openCheckpoint(files);
    const { tensors, modules } = collect(model, reader);
    await writeSafetensors(`${temporary}/model.safetensors`, tensors);
    await using source = await files.open("config.json");
    const quantization: QuikCheckpointConfig = { quant_method: "quik", version: 1, modules };
    const config = { ...JSON.parse(await readText(source)), quantization_config: quantization };
    await writeSmallFile(`${temporary}/config.json`, `${JSON.stringify(config, null, 2)}\n`);
    for (const name of COPIED_FILES) {
      if (!await files.has(name)) continue;
      await using file = await files.open(name);
      await writeSmallFile(`${temporary}/${name}`, await file.read(0, file.size));
    }
  });
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
