// Comparing methods on a tiny model: what a row says, what a failure does, and that the model ends as it began.
import { createReferenceBackend } from "../../kernels/mod.ts";
import {
  amplifyCheckpoint,
  compareMethods,
  type ComparisonProgress,
  type ComparisonRow,
  decoderWeights,
  layerwise,
  loadModel,
  type MeasuredMethod,
  type Model,
  type ModelMethod,
  modelMethods,
  observeLayers,
  rewriteModel,
  withQuantizedCache,
} from "../../models/mod.ts";
import { createMatrix, createRandom, type LinearMethod, methods, scaleValueOutput } from "../../quant/mod.ts";
import { assert, assertEquals, assertLess, assertNotEquals, assertRejects } from "@std/assert";
import { GOLDEN, maxDifference } from "./_fixtures.ts";

const random = createRandom(3);
const ids = (count: number): Uint32Array<ArrayBuffer> =>
  Uint32Array.from({ length: count }, () => random.integer(160));
const calibration = Array.from({ length: 3 }, () => ids(32));
const text = ids(100);

async function compare(
  chosen: readonly ModelMethod[],
  { model: name = "llama-gqa", ...options }: {
    model?: string;
    onProgress?: (progress: ComparisonProgress) => void;
    signal?: AbortSignal;
  } = {},
): Promise<ComparisonRow[]> {
  using backend = createReferenceBackend();
  using model = await loadModel(`${GOLDEN}/${name}`, { backend });
  const before = await model.forward(text.slice(0, 20));
  const layers = await observeLayers(model, calibration);
  try {
    return await compareMethods(model, chosen, { ...options, layers, calibration, ids: text, window: 25 });
  } finally {
    assertEquals(await model.forward(text.slice(0, 20)), before, "the model ends as it began");
  }
}

function named(name: string): ModelMethod {
  return modelMethods.find((method) => method.name === name)!;
}

const broken: LinearMethod = { name: "broken", quantize: () => Promise.reject(new Error("no such grid")) };
const careless = {
  name: "careless",
  quantize: () => Promise.resolve({ bits: 4 }),
} as unknown as LinearMethod;
const wild: LinearMethod = {
  name: "wild",
  quantize: ({ weight }) =>
    Promise.resolve({
      bitsPerWeight: 4,
      forward: ({ rows }) => createMatrix(rows, weight.rows, new Float32Array(rows * weight.rows).fill(NaN)),
    }),
};

Deno.test("compareMethods() measures every method, and one that fails gives a row that says why", async () => {
  const progress: number[] = [];
  const chosen = [
    named("float"),
    layerwise(methods["rtn-w8"]),
    layerwise(broken),
    layerwise(careless),
    layerwise(wild),
    layerwise(methods["rtn-w4"]),
    named("quik-sequential"),
    withQuantizedCache(layerwise(methods["rtn-w4"]), 2),
  ];
  const rows = await compare(chosen, { onProgress: ({ done }) => progress.push(done) });
  assertEquals(rows.map(({ method }) => method), chosen.map(({ name }) => name));
  const failures = rows.flatMap((row) => "error" in row ? [row.error] : []);
  assertEquals(failures, [
    "model.layers.0.self_attn.q_proj: no such grid",
    "model.layers.0.self_attn.q_proj: the method returned no quantized layer, which has bitsPerWeight and forward()",
    "The quantized model predicts values that are not finite",
  ]);
  const [float, eight, four, quik, cached] = rows.filter((row): row is MeasuredMethod => !("error" in row));
  assertEquals([float.bitsPerWeight, float.divergence, float.outputError], [32, 0, 0]);
  assertEquals([eight.weightBits, quik.activationBits, cached.cacheBits], [8, 4, 2]);
  assertLess(eight.bitsPerWeight, 13); // Groups of a tiny model have few weights to share a scale.
  assertLess(10 * eight.outputError, four.outputError);
  assertLess(10 * eight.divergence, four.divergence);
  assertLess(four.divergence, cached.divergence);
  assertEquals(cached.layerErrors, four.layerErrors);
  assertEquals(four.worstOutputError, Math.max(...four.layerErrors.map(({ error }) => error)));
  assert(quik.outputError > eight.outputError);
  assertEquals(progress, progress.toSorted((a, b) => a - b));
  assertEquals(progress.at(-1), chosen.length);
});

for (const model of ["llama-gqa", "gpt2"]) {
  Deno.test(`compareMethods() measures methods that rewrite ${model}, and leaves it as it was`, async () => {
    const chosen = [
      "quarot-w8a8-rtn",
      "quarot-w4a4",
      "quarot-w4a4-kv4",
      "spinquant-w4a4",
      "omniquant-w4a4-kv4",
    ];
    const rows = await compare(chosen.map(named), { model });
    const [eight, four, cached, learned] = rows.map((row) => {
      if ("error" in row) throw new Error(`${row.method}: ${row.error}`);
      return row;
    });
    assertEquals([cached.weightBits, cached.activationBits, cached.cacheBits], [4, 4, 4]);
    assertLess(10 * eight.divergence, four.divergence);
    assertLess(10 * eight.outputError, four.outputError);
    // What is learned merges into weights.
    assertEquals(four.bitsPerWeight, learned.bitsPerWeight);
    assertEquals(cached.layerErrors, four.layerErrors);
    // On a model of random weights a quantized cache changes the predictions, not always for the worse.
    assertNotEquals(four.divergence, cached.divergence);
  });
}

/** Values divided by powers of two, which float16 scales follow exactly, and what reads them multiplied. */
function scaledValues(outputScale: boolean): ModelMethod {
  return {
    ...layerwise(methods["rtn-w4"]),
    name: "scaled",
    rewrite: async (model) => {
      const weights = await decoderWeights(model), { config } = model;
      const scale = Float32Array.from({ length: config.kvHeads * config.headSize }, (_, i) => 2 ** (i % 3));
      const blocks = weights.blocks.map((block) => scaleValueOutput(block, scale, config));
      const names = [...model.linears.keys()].filter((name) => name.endsWith("v_proj"));
      return {
        model: rewriteModel(model, { ...weights, blocks }),
        ...(outputScale ? { outputScales: new Map(names.map((name) => [name, scale])) } : {}),
      };
    },
  };
}

Deno.test("compareMethods() compares outputs of a rewritten model as those of the first", async () => {
  const errorsOf = (row: ComparisonRow) => "error" in row ? [] : row.layerErrors;
  const [plain, scaled, wrong] = await Promise.all(
    [layerwise(methods["rtn-w4"]), scaledValues(true), scaledValues(false)].map((method) =>
      compare([method]).then(([row]) => errorsOf(row))
    ),
  );
  assertEquals(scaled.length, plain.length);
  for (const [i, { layer, error }] of plain.entries()) {
    // Rows of a weight are rounded by themselves, so scaling them changes nothing.
    if (!layer.endsWith("o_proj")) assertLess(Math.abs(scaled[i].error - error), 1e-5, layer);
    if (layer.endsWith("v_proj")) assertLess(1e-4, Math.abs(wrong[i].error - error), layer);
  }
});

Deno.test("compareMethods() says why a model cannot be rotated", async () => {
  using backend = createReferenceBackend();
  using model = await loadModel(`${GOLDEN}/llama-gqa`, { backend });
  await named("quik-sequential").whole!(model, { windows: calibration });
  const layers: [] = [];
  const [row] = await compareMethods(model, [named("quarot-w4a4")], {
    layers,
    calibration,
    ids: text,
    window: 25,
  });
  assert("error" in row && row.error.includes("q_proj: it is quantized already"), JSON.stringify(row));
});

Deno.test("compareMethods() stops when told to, and refuses a text without a window", async () => {
  const controller = new AbortController();
  const onProgress = () => controller.abort(new Error("enough"));
  await assertRejects(
    () => compare([named("rtn-w4")], { onProgress, signal: controller.signal }),
    Error,
    "enough",
  );
  using backend = createReferenceBackend();
  using model = await loadModel(`${GOLDEN}/llama-gqa`, { backend });
  const short = { layers: [], calibration, ids: ids(10) };
  await assertRejects(() => compareMethods(model, [], short), RangeError, "a text of 10 tokens");
});

Deno.test("observeLayers() refuses a model that is quantized already", async () => {
  using backend = createReferenceBackend();
  using model = await loadModel(`${GOLDEN}/llama-gqa`, { backend });
  await named("quik-sequential").whole!(model, { windows: calibration });
  await assertRejects(() => observeLayers(model, calibration), TypeError, "q_proj: it is quantized already");
});

async function inputsOf(model: Model): Promise<Map<string, Float32Array>> {
  const layers = await observeLayers(model, calibration);
  return new Map(layers.map(({ layer, calibration: { absmax } }) => [layer.name, absmax]));
}

Deno.test("amplifyCheckpoint() makes outliers and leaves the logits as they were", async () => {
  using backend = createReferenceBackend();
  for (const name of ["llama-gqa", "qwen3"]) {
    using model = await loadModel(`${GOLDEN}/${name}`, { backend });
    const files = await amplifyCheckpoint(`${GOLDEN}/${name}`, { channels: [3, 7], factor: 32 });
    using amplified = await loadModel(files, { backend });
    assertLess(
      maxDifference(await amplified.forward(text.slice(0, 60)), await model.forward(text.slice(0, 60))),
      1e-4,
    );
    const [before, after] = [await inputsOf(model), await inputsOf(amplified)];
    const layer = "model.layers.1.mlp.up_proj";
    const ratios = after.get(layer)!.map((value, i) => value / before.get(layer)![i]);
    for (const [channel, ratio] of ratios.entries()) {
      assertLess(Math.abs(ratio - (channel === 3 || channel === 7 ? 32 : 1)), 0.01);
    }
  }
  await assertRejects(() => amplifyCheckpoint(`${GOLDEN}/gpt2`), RangeError, "not a LLaMA");
  const bad = { channels: [64_000] };
  await assertRejects(() => amplifyCheckpoint(`${GOLDEN}/llama-gqa`, bad), RangeError, "channel 64000");
});
