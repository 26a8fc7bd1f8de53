// Rotated models: they compute what the first model does, whatever the architecture, and no channel stands out any more.
import { encodeSafetensors, openDirectory, openSafetensors } from "../../io/mod.ts";
import { createReferenceBackend, createWasmBackend } from "../../kernels/mod.ts";
import {
  amplifyCheckpoint,
  decoderWeights,
  learnRotations,
  loadModel,
  type Model,
  observeLayers,
  rotateModel,
} from "../../models/mod.ts";
import {
  createMatrix,
  denseRotation,
  foldDecoderNorms,
  hadamard,
  randomOrthogonal,
  rotateResidual,
} from "../../quant/mod.ts";
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { changedModel, DEMO, GOLDEN, maxDifference, readReference } from "./_fixtures.ts";

const rootMeanSquare = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

const MODELS = [
  ...["llama-gqa", "llama-tied-bias", "mistral", "qwen2", "qwen3"],
  ...["opt", "falcon", "gpt2"],
];

/** The tensors of a golden model, some left out. */
async function tensorsOf(name: string, keep: (tensor: string) => boolean): Promise<Uint8Array<ArrayBuffer>> {
  await using reader = await openSafetensors(
    await openDirectory(`${GOLDEN}/${name}`).open("model.safetensors"),
  );
  const kept = [...reader.tensors].filter(([tensor]) => keep(tensor));
  return await encodeSafetensors(
    await Promise.all(kept.map(async ([tensor, { shape }]) => {
      return { name: tensor, type: "F32" as const, shape, data: await reader.readFloat32(tensor) };
    })),
  );
}

/** Largest difference of logits over the largest logit. */
async function logitError(rotated: Model, name: string): Promise<number> {
  const { inputIds, logits } = await readReference(`${GOLDEN}/${name}`);
  const largest = logits.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return maxDifference(await rotated.forward(inputIds), logits) / largest;
}

for (const name of MODELS) {
  Deno.test(`rotateModel() leaves the logits of ${name} as they were`, async () => {
    using backend = createReferenceBackend();
    using model = await loadModel(`${GOLDEN}/${name}`, { backend });
    const before = await model.forward(Uint32Array.of(1, 2, 3));
    {
      using rotated = await rotateModel(model, { seed: 2 });
      assertEquals([...rotated.linears.keys()], [...model.linears.keys()]);
      assertLess(await logitError(rotated, name), 1e-5);
    }
    assertEquals(await model.forward(Uint32Array.of(1, 2, 3)), before, "the model is not changed");
  });
}

Deno.test("rotateModel() takes learned rotations", async () => {
  using backend = createReferenceBackend();
  using model = await loadModel(`${GOLDEN}/llama-gqa`, { backend });
  const { hiddenSize, headSize, layers } = model.config;
  const residual = denseRotation(randomOrthogonal(hiddenSize, 1));
  const values = Array.from({ length: layers }, (_, i) => denseRotation(randomOrthogonal(headSize, i)));
  using rotated = await rotateModel(model, { rotations: { residual, values } });
  assertLess(await logitError(rotated, "llama-gqa"), 1e-5);
});

Deno.test("learnRotations() gives rotations that merge into the model", async () => {
  using backend = createReferenceBackend();
  for (const name of ["llama-gqa", "gpt2"]) {
    using model = await loadModel(`${GOLDEN}/${name}`, { backend });
    const windows = [Uint32Array.from({ length: 30 }, (_, i) => i * 3)];
    const folded = foldDecoderNorms(await decoderWeights(model));
    const rotations = await learnRotations(model, folded, { windows, steps: 4 });
    const { hiddenSize, headSize, layers } = model.config;
    assertEquals([rotations.residual.size, rotations.values?.length], [hiddenSize, layers]);
    const start = hadamard(headSize);
    for (const rotation of rotations.values!) {
      const identity = createMatrix(headSize, headSize);
      for (let i = 0; i < headSize; i++) identity.data[i * (headSize + 1)] = 1;
      const learned = rotation.apply(identity);
      assertLess(maxDifference(rotation.applyInverse(learned).data, identity.data), 1e-6);
      assertLess(1e-4, maxDifference(learned.data, start.apply(identity).data), "it has moved");
    }
    using rotated = await rotateModel(model, { rotations });
    assertLess(await logitError(rotated, name), 1e-5);
  }
});

Deno.test("rotateModel() leaves the logits of the demo model as they were, amplified, and spreads its outliers", async () => {
  using backend = await createWasmBackend();
  using model = await loadModel(DEMO, { backend });
  using amplified = await loadModel(await amplifyCheckpoint(DEMO), { backend });
  using rotated = await rotateModel(amplified);
  const ids = Uint32Array.from({ length: 48 }, (_, i) => (i * 97 + 5) % 4096);
  const expected = await model.forward(ids), actual = await rotated.forward(ids);
  assertLess(maxDifference(actual, expected) / rootMeanSquare(expected), 1e-5);

  // Largest column maximum over the root mean square of all, for the input of each layer.
  const peaks = async (of: Model): Promise<number[]> => {
    const layers = await observeLayers(of, [ids], { hessian: false });
    return layers.map(({ calibration: { absmax, inputs: { data } } }) =>
      Math.max(...absmax) / rootMeanSquare(data)
    );
  };
  const [before, after] = [await peaks(amplified), await peaks(rotated)];
  const hadOutliers = [...rotated.linears.keys()].map((name) => !name.endsWith("o_proj"));
  for (const [i, peak] of after.entries()) if (hadOutliers[i]) assertLess(peak, Math.min(6, before[i] / 3));
});

Deno.test("rotateModel() names the architecture that no rotation commutes with", async () => {
  using backend = createReferenceBackend();
  const config = { do_layer_norm_before: false };
  const tensors = await tensorsOf("opt", (tensor) => !tensor.includes("decoder.final_layer_norm"));
  using model = await loadModel(changedModel("opt", { config, tensors }), { backend });
  await assertRejects(() => rotateModel(model), RangeError, "Cannot rotate this opt model");
});

Deno.test("rotateResidual() insists on folded norms", async () => {
  using backend = createReferenceBackend();
  for (const name of ["llama-gqa", "opt"]) {
    using model = await loadModel(`${GOLDEN}/${name}`, { backend });
    const weights = await decoderWeights(model), rotation = hadamard(model.config.hiddenSize);
    assertThrows(() => rotateResidual(weights, rotation), RangeError, "fold gains and offsets");
    const folded = foldDecoderNorms(weights);
    assert(folded.finalNorm!.weight.every((gain) => gain === 1) && !folded.finalNorm!.bias);
    rotateResidual(folded, rotation);
    const bare = { ...weights, finalNorm: undefined };
    if (name === "opt") assertThrows(() => foldDecoderNorms(bare), RangeError, "the head included");
  }
});
