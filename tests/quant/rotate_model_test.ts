import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { encodeSafetensors, openDirectory, openSafetensors } from "@quik/quant/io";
import { createReferenceBackend } from "@quik/quant/kernels";
import { loadModel } from "@quik/quant/models";
import {
  amplifyChannels,
  createMatrix,
  denseRotation,
  foldModelNorms,
  hadamard,
  type Matrix,
  type NamedWeights,
  randomOrthogonal,
  rotateModel,
  rotateOnline,
  rotateResidual,
} from "@quik/quant/quant";
import { changedModel, GOLDEN, maxDifference, readReference } from "../models/_fixtures.ts";
import { normalMatrix, product, relativeError } from "./_fixture.ts";

async function readWeights(model: string): Promise<NamedWeights> {
  await using reader = await openSafetensors(
    await openDirectory(`${GOLDEN}/${model}`).open("model.safetensors"),
  );
  const weights = new Map<string, Matrix>();
  for (const [name, { shape }] of reader.tensors) {
    const [rows, cols] = shape.length === 1 ? [1, shape[0]] : shape;
    weights.set(name, createMatrix(rows, cols, await reader.readFloat32(name)));
  }
  return weights;
}

/** Logits of a golden model with other weights, against those of Transformers with its own. */
async function logitError(model: string, weights: NamedWeights): Promise<number> {
  const tensors = await encodeSafetensors(
    [...weights].map(([name, { data, rows, cols }]) => ({
      name,
      type: "F32" as const,
      shape: /norm|bias/.test(name) ? [cols] : [rows, cols],
      data,
    })),
  );
  using backend = createReferenceBackend();
  const files = changedModel(model, { config: { tie_word_embeddings: false }, tensors });
  using loaded = await loadModel(files, { backend });
  const { inputIds, logits } = await readReference(`${GOLDEN}/${model}`);
  return maxDifference(await loaded.forward(inputIds), logits) /
    logits.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
}

const HEAD_SIZE = 16;
const MODELS = ["llama-gqa", "llama-tied-bias", "mistral", "qwen2", "qwen3"];

for (const model of MODELS) {
  Deno.test(`rotateModel() and amplifyChannels() leave the logits of ${model} as they were`, async () => {
    const weights = await readWeights(model);
    // Uneven gains, so that folding them matters.
    const amplified = amplifyChannels(weights, { channels: [3, 40, 63] });
    const options = { headSize: HEAD_SIZE, onlineModules: [], seed: 2 };
    assertLess(await logitError(model, rotateModel(amplified, options).weights), 1e-5);
  });
}

Deno.test("rotateModel() takes learned rotations, and rotating spreads amplified channels", async () => {
  const weights = amplifyChannels(await readWeights("llama-gqa"), { channels: [5] });
  assertLess(await logitError("llama-gqa", weights), 1e-5);
  const residual = denseRotation(randomOrthogonal(64, 1));
  const head = denseRotation(randomOrthogonal(HEAD_SIZE, 2));
  const rotated = rotateModel(weights, { headSize: HEAD_SIZE, residual, head, onlineModules: [] });
  assertLess(await logitError("llama-gqa", rotated.weights), 1e-5);
  assertEquals(rotated.online.size, 0);
});

Deno.test("rotateOnline() expects the rotated input it names", async () => {
  const weights = await readWeights("llama-gqa");
  const { weights: rotated, online } = rotateOnline(weights);
  assertEquals([...online.keys()], ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"]);
  for (const [module, rotation] of online) {
    const x = normalMatrix(9, rotation.size, 1);
    const expected = product(x, weights.get(`${module}.weight`)!);
    assertLess(relativeError(expected, product(rotation.apply(x), rotated.get(`${module}.weight`)!)), 1e-5);
  }
});

Deno.test("rotateResidual() insists on folded norms and complete checkpoints", async () => {
  const weights = amplifyChannels(await readWeights("mistral"), { channels: [1] });
  assertThrows(() => rotateResidual(weights, hadamard(64)), RangeError, "fold the gains");
  const incomplete = new Map(weights);
  incomplete.delete("model.layers.0.mlp.up_proj.weight");
  assertThrows(() => foldModelNorms(incomplete), RangeError, "no tensor model.layers.0.mlp.up_proj.weight");
  assert(foldModelNorms(weights).get("model.norm.weight")!.data.every((gain) => gain === 1));
});
