// QUIK on a whole (tiny) model: quantize, save, load again, and the ways in which that must fail cleanly.
import { createReferenceBackend } from "../../kernels/mod.ts";
import { calibrate, loadModel, type Model, quantizeModel, saveModel } from "../../models/mod.ts";
import { DeviceQuikLinear } from "../../ops/mod.ts";
import { createRandom } from "../../quant/mod.ts";
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { GOLDEN } from "./_fixtures.ts";

const random = createRandom(11);
const ids = (count: number): Uint32Array<ArrayBuffer> =>
  Uint32Array.from({ length: count }, () => random.integer(160));
const windows = Array.from({ length: 4 }, () => ids(32));

async function withModel(name: string, use: (model: Model) => Promise<void>): Promise<void> {
  using backend = createReferenceBackend();
  using model = await loadModel(`${GOLDEN}/${name}`, { backend });
  await use(model);
}

Deno.test("calibrate() shows every layer once, in the order of the forward", async () => {
  await withModel("llama-gqa", async (model) => {
    const seen: string[] = [];
    const blocks: number[] = [];
    await calibrate(model, windows, {
      visit: ({ slots, calibration }) => {
        seen.push(...slots.map((slot) => slot.name));
        assertEquals(calibration.tokens, 4 * 32);
        assertEquals(calibration.hessian.rows, slots[0].linear.inputs);
      },
      blockDone: (block) => void blocks.push(block),
    });
    assertEquals(seen, [...model.linears.keys()]);
    assertEquals(blocks, [0, 1]);
  });
});

Deno.test("calibrate() leaves a model that is not changed as it was", async () => {
  await withModel("falcon", async (model) => {
    const before = await model.forward(windows[0]);
    await calibrate(model, windows, { visit: () => {}, hessian: false });
    assertEquals(await model.forward(windows[0]), before);
  });
});

Deno.test("calibrate() takes windows of different lengths", async () => {
  await withModel("llama-gqa", async (model) => {
    const lengths = [1, 32, 7];
    let tokens = 0;
    await calibrate(model, lengths.map(ids), {
      visit: ({ calibration }) => void (tokens = calibration.tokens),
      hessian: false,
    });
    assertEquals(tokens, 40);
  });
});

Deno.test("calibrate() waits for the reads of all windows before it throws the failure of one", async () => {
  await withModel("llama-gqa", async (model) => {
    const { backend } = model;
    const read = backend.read.bind(backend);
    let [count, running] = [0, 0];
    backend.read = async (...args) => {
      const number = ++count;
      running++;
      try {
        await new Promise((resolve) => setTimeout(resolve, number === 1 ? 0 : 20));
        if (number === 1) throw new Error("no answer");
        return await read(...args);
      } finally {
        running--;
      }
    };
    await assertRejects(() => calibrate(model, windows, { visit: () => {} }), Error, "no answer");
    assert(count > 1);
    assertEquals(running, 0);
  });
});

/** Relative error of a model's logits after quantization. */
async function quantizationError(name: string, bits: 4 | 8): Promise<number> {
  let error = 0;
  await withModel(name, async (model) => {
    const before = await model.forward(windows[0]);
    await quantizeModel(model, { windows, bits, downBits: bits });
    for (const { linear } of model.linears.values()) assert(linear instanceof DeviceQuikLinear);
    const after = await model.forward(windows[0]);
    error = Math.hypot(...after.map((value, i) => value - before[i])) / Math.hypot(...before);
  });
  return error;
}

for (const name of ["llama-gqa", "llama-tied-bias", "qwen3", "falcon", "opt", "gpt2"]) {
  // Four bits more divide the step by sixteen; large 4-bit errors saturate, so a factor of eight is asked for.
  Deno.test(`quantizeModel() errs eight times less in 8 bits than in 4: ${name}`, async () => {
    const [error8, error4] = [await quantizationError(name, 8), await quantizationError(name, 4)];
    assertLess(error8 * 8, error4);
    assertLess(error4, 1);
  });
}

Deno.test("quantizeModel() keeps the down projection in 8 bits with widened outliers", async () => {
  await withModel("llama-gqa", async (model) => {
    await quantizeModel(model, { windows, outliers: 4 });
    const layer = (name: string) => (model.linears.get(name)!.linear as DeviceQuikLinear).weights;
    const down = layer("model.layers.1.mlp.down_proj");
    const up = layer("model.layers.1.mlp.up_proj");
    assertEquals([down.bits, down.outlierIndices.length], [8, 8]);
    assertEquals([up.bits, up.outlierIndices.length], [4, 4]);
    const [q, k, v] = ["q", "k", "v"].map((part) =>
      model.linears.get(`model.layers.0.self_attn.${part}_proj`)!
    );
    assertEquals(q.linear.inputKey, k.linear.inputKey);
    assertEquals(q.linear.inputKey, v.linear.inputKey);
  });
});

for (const name of ["llama-tied-bias", "falcon", "gpt2"]) {
  Deno.test(`saveModel() of ${name} writes a checkpoint that loads to the same logits`, async () => {
    const parent = await Deno.makeTempDir();
    const directory = `${parent}/quantized`;
    const source = `${GOLDEN}/${name}`;
    let logits = new Float32Array(0);
    await withModel(name, async (model) => {
      await quantizeModel(model, { windows, outliers: 4 });
      logits = await model.forward(windows[1]);
      await saveModel(model, directory, { source });
      await assertRejects(
        () => saveModel(model, directory, { source }),
        RangeError,
        "exists and is not empty",
      );
    });
    using backend = createReferenceBackend();
    using loaded = await loadModel(directory, { backend });
    assertEquals(await loaded.forward(windows[1]), logits);
    await assertRejects(() => quantizeModel(loaded, { windows }), TypeError, "it is quantized already");
    await Deno.remove(parent, { recursive: true });
  });
}

Deno.test("saveModel() of a failing copy leaves nothing behind", async () => {
  const parent = await Deno.makeTempDir();
  await withModel("mistral", async (model) => {
    await quantizeModel(model, { windows, rounding: "nearest" });
    await assertRejects(() => saveModel(model, `${parent}/out`, { source: `${parent}/missing` }));
  });
  assertEquals([...Deno.readDirSync(parent)], []);
});

Deno.test("quantizeModel() refuses to calibrate on nothing, and stops when told to", async () => {
  await withModel("llama-gqa", async (model) => {
    await assertRejects(() => quantizeModel(model, { windows: [] }), RangeError, "no text");
    const signal = AbortSignal.abort(new Error("Interrupted"));
    await assertRejects(() => quantizeModel(model, { windows, signal }), Error, "Interrupted");
  });
});
