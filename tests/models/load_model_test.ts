// Loading: what is wrong with a checkpoint is said in one line.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeSafetensors, openCheckpoint, openDirectory, type TensorToWrite } from "../../io/mod.ts";
import { createReferenceBackend } from "../../kernels/mod.ts";
import { loadModel } from "../../models/mod.ts";
import { changedModel, GOLDEN, maxDifference, readReference } from "./_fixtures.ts";

/** The tensors of a golden model, each passed through `change`; undefined drops it. */
async function changedTensors(
  model: string,
  change: (tensor: TensorToWrite & { data: Uint8Array<ArrayBuffer> }) => TensorToWrite | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  await using reader = await openCheckpoint(openDirectory(`${GOLDEN}/${model}`));
  const tensors: TensorToWrite[] = [];
  for (const info of reader.tensors.values()) {
    const { name, type, shape } = info;
    const changed = change({ name, type, shape, data: await reader.readBytes(name) });
    if (changed) tensors.push(changed);
  }
  return await encodeSafetensors(tensors);
}

const DOWN = "model.layers.1.mlp.down_proj.weight";

const BAD_TENSORS: [about: string, change: Parameters<typeof changedTensors>[1], problem: string][] = [
  ["a missing tensor", (t) => t.name === DOWN ? undefined : t, `Cannot read tensor ${DOWN}`],
  [
    "a wrong shape",
    (t) => t.name === DOWN ? { ...t, shape: [128, 64] } : t,
    "it has shape [128, 64], config.json asks for [64, 128]",
  ],
  [
    "a type that no weight has",
    (t) => t.name === DOWN ? { ...t, type: "I32" } : t,
    "a weight cannot be of type I32",
  ],
  [
    "NaN",
    (t) => t.name === DOWN ? { ...t, data: poisoned(t.data, NaN, 130) } : t,
    "element [1, 2] is not finite",
  ],
  [
    "infinity in a norm",
    (t) => t.name === "model.norm.weight" ? { ...t, data: poisoned(t.data, -Infinity, 5) } : t,
    "Cannot load model.norm.weight from llama-gqa/model.safetensors: element [5] is not finite",
  ],
];

function poisoned(data: Uint8Array<ArrayBuffer>, value: number, index: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(data.buffer.slice(0));
  values[index] = value;
  return values;
}

for (const [about, change, problem] of BAD_TENSORS) {
  Deno.test(`loadModel() rejects ${about}`, async () => {
    using backend = createReferenceBackend();
    const files = changedModel("llama-gqa", { tensors: await changedTensors("llama-gqa", change) });
    const error = await assertRejects(() => loadModel(files, { backend }), Error, problem);
    assert(!error.message.includes("\n"));
  });
}

Deno.test("loadModel() rejects a configuration that leaves tensors unused", async () => {
  using backend = createReferenceBackend();
  const files = changedModel("llama-gqa", { config: { num_hidden_layers: 1 } });
  await assertRejects(() => loadModel(files, { backend }), RangeError, "config.json does not account for");
});

Deno.test("loadModel() reads float16 and bfloat16 weights as they are stored", async () => {
  using backend = createReferenceBackend();
  const { inputIds, logits } = await readReference(`${GOLDEN}/llama-gqa`);
  const narrow = (type: "F16" | "BF16") => (tensor: TensorToWrite & { data: Uint8Array<ArrayBuffer> }) => {
    const values = new Float32Array(tensor.data.buffer);
    const bits = new Uint32Array(tensor.data.buffer);
    const data = type === "F16" ? new Float16Array(values) : Uint16Array.from(bits, (word) => word >>> 16);
    return { ...tensor, type, data };
  };
  for (const [type, tolerance] of [["F16", 0.01], ["BF16", 0.2]] as const) {
    const files = changedModel("llama-gqa", { tensors: await changedTensors("llama-gqa", narrow(type)) });
    using model = await loadModel(files, { backend });
    const difference = maxDifference(await model.forward(inputIds), logits);
    assert(difference > 0 && difference < tolerance, `${type}: ${difference}`);
  }
});

Deno.test("loadModel() names a folder that is no checkpoint", async () => {
  using backend = createReferenceBackend();
  await assertRejects(
    () => loadModel("tests/absent", { backend }),
    Error,
    "tests/absent/config.json: no such file",
  );
});

Deno.test("linears name every linear layer of the blocks and can be replaced", async () => {
  using backend = createReferenceBackend();
  using model = await loadModel(`${GOLDEN}/gpt2`, { backend });
  assertEquals([...model.linears.keys()].filter((name) => name.includes("h.0.")), [
    "transformer.h.0.attn.c_attn.query",
    "transformer.h.0.attn.c_attn.key",
    "transformer.h.0.attn.c_attn.value",
    "transformer.h.0.attn.c_proj",
    "transformer.h.0.mlp.c_fc",
    "transformer.h.0.mlp.c_proj",
  ]);
  const slot = model.linears.get("transformer.h.0.attn.c_attn.key")!;
  assertEquals(slot.sources, ["transformer.h.0.attn.c_attn.weight", "transformer.h.0.attn.c_attn.bias"]);
  assertEquals([slot.linear.outputs, slot.linear.inputs], [64, 64]);
});
