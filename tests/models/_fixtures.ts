// Models that tests load: the tiny golden ones, the demo model, and golden ones with a file changed.
import { type FileSet, memoryFiles, openDirectory, openFileSource, openSafetensors } from "../../io/mod.ts";

/** Folder of the tiny models with reference logits. */
export const GOLDEN = "tests/fixtures/golden/models";

/** Folder of the demo model. */
export const DEMO = "examples/demo_model";

/** Input ids and logits that Transformers computed for a model. */
export async function readReference(
  directory: string,
): Promise<{ inputIds: Uint32Array<ArrayBuffer>; logits: Float32Array<ArrayBuffer> }> {
  await using reader = await openSafetensors(
    await openFileSource(`${directory}/reference_logits.safetensors`),
  );
  return {
    inputIds: Uint32Array.from(await reader.readFloat32("input_ids")),
    logits: await reader.readFloat32("logits"),
  };
}

/** The greedy continuations of the demo model that Transformers computed. */
export function readGreedy(): { prompt: string; prompt_ids: number[]; output_ids: number[]; text: string }[] {
  return JSON.parse(Deno.readTextFileSync(`${DEMO}/reference.json`)).greedy;
}

/** Largest absolute difference of two arrays of equal length. */
export function maxDifference(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Infinity;
  return actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected[i])), 0);
}

/** `config.json` of a golden model, parsed. */
export function readConfig(model: string): Record<string, unknown> {
  return JSON.parse(Deno.readTextFileSync(`${GOLDEN}/${model}/config.json`));
}

/** A golden model with changed fields of `config.json`, and perhaps other tensors. */
export function changedModel(
  model: string,
  change: { config?: Record<string, unknown>; tensors?: Uint8Array<ArrayBuffer> },
): FileSet {
  const files = openDirectory(`${GOLDEN}/${model}`);
  const config = JSON.stringify({ ...readConfig(model), ...change.config });
  const changed = memoryFiles({
    "config.json": new TextEncoder().encode(config),
    ...(change.tensors && { "model.safetensors": change.tensors }),
  }, { name: model });
  return {
    name: model,
    has: async (fileName) => await changed.has(fileName) || await files.has(fileName),
    open: async (fileName) => await (await changed.has(fileName) ? changed : files).open(fileName),
  };
}
