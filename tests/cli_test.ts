// The `quik` command as a user runs it: in processes of its own, on the demo model, with good input and bad.
import { createWasmBackend } from "../kernels/mod.ts";
import { encodeSafetensors, openCheckpoint, openDirectory } from "../io/mod.ts";
import { calibrationWindows, loadModel, loadTokenizer, perplexity, quantizeModel } from "../models/mod.ts";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import { DEMO, quik, VALID } from "./_quik_process.ts";

/** A copy of the demo model with some files replaced. */
async function changedDemo(changes: Record<string, Uint8Array | string>): Promise<string> {
  const directory = await Deno.makeTempDir();
  for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]) {
    if (!(name in changes)) await Deno.symlink(join(DEMO, name), join(directory, name));
  }
  for (const [name, data] of Object.entries(changes)) {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    await Deno.writeFile(join(directory, name), bytes);
  }
  return directory;
}

/** The demo model's tensors, written again after a change of one of them. */
async function changedTensors(
  change: (name: string, bytes: Uint16Array) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  await using reader = await openCheckpoint(openDirectory(DEMO));
  const tensors = [];
  for (const { name, type, shape } of reader.tensors.values()) {
    const data = await reader.readBytes(name);
    change(name, new Uint16Array(data.buffer));
    tensors.push({ name, type, shape, data });
  }
  return await encodeSafetensors(tensors);
}

Deno.test("quik --help and each command's --help explain and succeed", async () => {
  const top = await quik("--help");
  assertEquals(top.code, 0);
  for (const command of ["quantize", "eval", "generate", "compare", "inspect"]) {
    assertStringIncludes(top.stdout, command);
  }
  const help = await quik("eval", "--help");
  assertEquals(help.code, 0);
  assertStringIncludes(help.stdout, "--window");
});

Deno.test("quik eval --json prints what machines read, and the float perplexity of the reference", async () => {
  const { code, stdout } = await quik(
    "eval",
    DEMO,
    "--text",
    VALID,
    "--windows",
    "3",
    "--backend",
    "wasm",
    "--json",
  );
  assertEquals(code, 0);
  const result = JSON.parse(stdout);
  assertEquals([result.tokens, result.windows, result.backend], [3 * 511, 3, "wasm"]);
  const reference = JSON.parse(await Deno.readTextFile(join(DEMO, "reference.json")));
  const mean = (reference.valid_window_nll as number[]).slice(0, 3).reduce((a, b) => a + b) / 3;
  assertAlmostEquals(result.perplexity, Math.exp(mean), 0.003);
});

Deno.test("quik quantize, inspect, eval and generate work on each other's files in new processes", async () => {
  const out = join(await Deno.makeTempDir(), "quantized");
  const settings = ["--windows", "4", "--window", "128", "--backend", "wasm"];
  const quantized = await quik("quantize", DEMO, "--out", out, ...settings, "--json");
  assertEquals(quantized.code, 0, quantized.stderr);
  assertLess(JSON.parse(quantized.stdout).bitsPerWeight, 6.5);

  const inspected = await quik("inspect", out);
  assertStringIncludes(inspected.stdout, "Quantized with quik: 42 layers, 36 in 4 bits, 6 in 8 bits");

  const evaluated = await quik("eval", out, "--text", VALID, "--windows", "2", "--backend", "wasm", "--json");
  using backend = await createWasmBackend();
  using model = await loadModel(DEMO, { backend });
  const tokenizer = await loadTokenizer(DEMO);
  const ids = tokenizer.encode(await Deno.readTextFile(join(DEMO, "calibration.txt")));
  await quantizeModel(model, { windows: calibrationWindows(ids, { window: 128, windows: 4 }) });
  const valid = tokenizer.encode(await Deno.readTextFile(VALID));
  const here = await perplexity(model, valid, { window: 512, windows: 2 });
  assertAlmostEquals(JSON.parse(evaluated.stdout).perplexity, here.perplexity, 1e-6);

  const written = await quik(
    "generate",
    out,
    "--prompt",
    "The people",
    "--max-tokens",
    "5",
    "--backend",
    "wasm",
  );
  assertEquals(written.code, 0, written.stderr);
  assertMatch(written.stdout, /^The people \S+.*\n\n5 tokens/s);
});

const BAD_INPUT: readonly { name: string; run: () => Promise<string[]>; says: string }[] = [
  {
    name: "a model that does not exist",
    run: () => Promise.resolve(["eval", "/no/such/model", "--text", VALID]),
    says: "/no/such/model",
  },
  {
    name: "an empty text",
    run: async () => ["eval", DEMO, "--text", await Deno.makeTempFile()],
    says: "the text is empty",
  },
  {
    name: "an unknown method",
    run: () => Promise.resolve(["quantize", DEMO, "--out", "/tmp/never", "--method", "magic"]),
    says: "magic",
  },
  {
    name: "an unknown backend",
    run: () => Promise.resolve(["eval", DEMO, "--text", VALID, "--backend", "abacus"]),
    says: "abacus",
  },
  {
    name: "a truncated safetensors file",
    run: async () => {
      const bytes = await Deno.readFile(join(DEMO, "model.safetensors"));
      return [
        "eval",
        await changedDemo({ "model.safetensors": bytes.subarray(0, 100_000) }),
        "--text",
        VALID,
      ];
    },
    says: "model.safetensors",
  },
  {
    name: "a safetensors header that lies about its length",
    run: async () => {
      const bytes = await Deno.readFile(join(DEMO, "model.safetensors"));
      new DataView(bytes.buffer).setBigUint64(0, 2n ** 40n, true);
      return ["eval", await changedDemo({ "model.safetensors": bytes }), "--text", VALID];
    },
    says: "model.safetensors",
  },
  {
    name: "weights that are not a number",
    run: async () => {
      const bytes = await changedTensors((name, halves) => {
        if (name === "model.layers.2.mlp.up_proj.weight") halves[77] = 0x7e00;
      });
      return ["eval", await changedDemo({ "model.safetensors": bytes }), "--text", VALID];
    },
    says: "model.layers.2.mlp.up_proj.weight",
  },
  {
    name: "a configuration that asks for another shape",
    run: async () => {
      const config = JSON.parse(await Deno.readTextFile(join(DEMO, "config.json")));
      config.intermediate_size = 700;
      return ["eval", await changedDemo({ "config.json": JSON.stringify(config) }), "--text", VALID];
    },
    says: "700",
  },
  {
    name: "a configuration that asks for tensors the file lacks",
    run: async () => {
      const config = JSON.parse(await Deno.readTextFile(join(DEMO, "config.json")));
      config.num_hidden_layers = 7;
      return ["eval", await changedDemo({ "config.json": JSON.stringify(config) }), "--text", VALID];
    },
    says: "model.layers.6",
  },
  {
    name: "an output directory that is not empty",
    run: () => Promise.resolve(["quantize", DEMO, "--out", DEMO]),
    says: "not empty",
  },
  {
    name: "a window longer than the model",
    run: () => Promise.resolve(["eval", DEMO, "--text", VALID, "--window", "4096"]),
    says: "max_position_embeddings",
  },
];

for (const { name, run, says } of BAD_INPUT) {
  Deno.test(`quik says in one line what is wrong with ${name}`, async () => {
    const { code, stdout, stderr } = await quik(...await run());
    assertEquals(code, 1, stderr);
    assertEquals(stdout, "");
    const errors = stderr.split("\n").filter((line) => line.startsWith("error: "));
    assertEquals(errors.length, 1, stderr);
    assertStringIncludes(errors[0], says);
    assert(!stderr.includes("    at "), "no stack trace");
  });
}

Deno.test("quik quantize leaves nothing behind when it fails", async () => {
  const parent = await Deno.makeTempDir();
  const bytes = await changedTensors((name, halves) => {
    if (name === "model.layers.5.mlp.down_proj.weight") halves[5] = 0xfc00;
  });
  const model = await changedDemo({ "model.safetensors": bytes });
  const text = join(DEMO, "calibration.txt");
  const { code } = await quik(
    "quantize",
    model,
    "--out",
    join(parent, "out"),
    "--calibration",
    text,
    "--windows",
    "1",
  );
  assertEquals(code, 1);
  assertEquals([...Deno.readDirSync(parent)], []);
});
