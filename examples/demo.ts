// The main job on a real model: read a checkpoint, calibrate, quantize weights and activations, save, load, evaluate,
// generate. No GPU needed. `deno task demo --help` lists the options.
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { join } from "@std/path";
import { Command } from "commander";
import { averageBitsPerWeight } from "../models/mod.ts";
import {
  backendOption,
  interruptSignal,
  positiveInteger,
  readTextFile,
  takeBackend,
} from "../cli/options.ts";
import { startProgress } from "../cli/progress.ts";
import { formatBytes, formatTable } from "../cli/table.ts";
import type { Backend, BackendChoice } from "../kernels/mod.ts";
import {
  calibrationWindows,
  generate,
  loadModel,
  loadTokenizer,
  perplexity,
  quantizeModel,
  type QuantizeModelOptions,
  saveModel,
} from "../models/mod.ts";

const MODEL = fileURLToPath(new URL("demo_model", import.meta.url));
const WINDOW = 512;
const PROMPT = "The people of the United States";

type Recipe = Omit<QuantizeModelOptions, "windows" | "onProgress" | "signal">;

/** What the table compares; no recipe is the model as it stands in the checkpoint. */
const ROWS: readonly { readonly name: string; readonly recipe?: Recipe }[] = [
  { name: "float16" },
  { name: "QUIK 8-bit", recipe: { bits: 8 } },
  { name: "4-bit rounding", recipe: { downBits: 4, outliers: 0, clip: false, rounding: "nearest" } },
  { name: "4-bit rounding, outliers and clipping", recipe: { rounding: "nearest" } },
  { name: "QUIK 4-bit", recipe: {} },
];

interface DemoOptions {
  windows: number;
  calibrationWindows: number;
  backend: BackendChoice;
}

interface Row {
  readonly name: string;
  readonly directory: string;
  readonly perplexity: number;
  readonly bitsPerWeight: number;
  readonly bytes: number;
  readonly quantizeSeconds: number;
  readonly evaluateSeconds: number;
}

/** Everything that the rows share. */
interface Bench {
  readonly backend: Backend;
  readonly work: string;
  readonly calibration: readonly Uint32Array<ArrayBuffer>[];
  readonly ids: Uint32Array<ArrayBuffer>;
  readonly windows: number;
  readonly signal: AbortSignal;
}

async function timed<T>(task: () => Promise<T>): Promise<{ value: T; seconds: number }> {
  const started = performance.now();
  const value = await task();
  return { value, seconds: (performance.now() - started) / 1000 };
}

/** Quantizes by a recipe, saves the result, and says where. */
async function makeCheckpoint(bench: Bench, name: string, recipe: Recipe): Promise<string> {
  const directory = join(bench.work, name.replaceAll(/\W+/g, "_"));
  using model = await loadModel(MODEL, { backend: bench.backend });
  using progress = startProgress(`${name}: quantizing`);
  await quantizeModel(model, {
    ...recipe,
    windows: bench.calibration,
    signal: bench.signal,
    onProgress: (done, total) => progress.update(done, total),
  });
  await saveModel(model, directory, { source: MODEL });
  return directory;
}

async function makeRow(bench: Bench, name: string, recipe: Recipe | undefined): Promise<Row> {
  const { value: directory, seconds: quantizeSeconds } = await timed(() =>
    recipe ? makeCheckpoint(bench, name, recipe) : Promise.resolve(MODEL)
  );
  // What is evaluated is what was saved.
  using model = await loadModel(directory, { backend: bench.backend });
  using progress = startProgress(`${name}: evaluating`);
  const { value, seconds: evaluateSeconds } = await timed(() =>
    perplexity(model, bench.ids, {
      window: WINDOW,
      windows: bench.windows,
      signal: bench.signal,
      onProgress: ({ done, total }) => progress.update(done, total),
    })
  );
  return {
    name,
    directory,
    perplexity: value.perplexity,
    bitsPerWeight: averageBitsPerWeight(model),
    bytes: (await stat(join(directory, "model.safetensors"))).size,
    quantizeSeconds: recipe ? quantizeSeconds : 0,
    evaluateSeconds,
  };
}

async function continuePrompt(bench: Bench, directory: string): Promise<string> {
  using model = await loadModel(directory, { backend: bench.backend });
  let text = "";
  for await (const token of generate(model, PROMPT, { maxTokens: 40, signal: bench.signal })) {
    text += token.text ?? "";
  }
  return text;
}

function printTable(rows: readonly Row[], windows: number): void {
  console.log(
    `\nPerplexity over ${windows} windows of ${WINDOW} tokens of held-out text; lower is better.\n`,
  );
  console.log(formatTable(
    [
      ["model", "left"],
      ["perplexity", "right"],
      ["bits/weight", "right"],
      ["on disk", "right"],
      ["s to quantize", "right"],
      ["s to evaluate", "right"],
    ],
    rows.map((row) => [
      row.name,
      row.perplexity.toFixed(3),
      row.bitsPerWeight.toFixed(2),
      formatBytes(row.bytes),
      row.quantizeSeconds.toFixed(1),
      row.evaluateSeconds.toFixed(1),
    ]),
  ));
}

async function run(options: DemoOptions): Promise<void> {
  using backend = await takeBackend(options.backend, { quiet: false });
  const tokenizer = await loadTokenizer(MODEL);
  const calibrationIds = tokenizer.encode(await readTextFile(join(MODEL, "calibration.txt")));
  const bench: Bench = {
    backend,
    work: await mkdtemp(join(tmpdir(), "quik-demo-")),
    calibration: calibrationWindows(calibrationIds, { window: WINDOW, windows: options.calibrationWindows }),
    ids: tokenizer.encode(await readTextFile(join(MODEL, "valid.txt"))),
    windows: options.windows,
    signal: interruptSignal(),
  };
  try {
    console.log(`Calibrating on ${bench.calibration.length} windows, evaluating on ${bench.windows}.`);
    const rows: Row[] = [];
    for (const { name, recipe } of ROWS) {
      console.log(recipe ? `${name}: calibrate, quantize, save, load, evaluate` : `${name}: load, evaluate`);
      rows.push(await makeRow(bench, name, recipe));
    }
    printTable(rows, bench.windows);
    for (const row of [rows[0], rows[rows.length - 1]]) {
      console.log(`\n${row.name}: ${PROMPT}…${await continuePrompt(bench, row.directory)}`);
    }
  } finally {
    await rm(bench.work, { recursive: true, force: true });
  }
}

await new Command("demo")
  .description(
    "Quantize the demo model with QUIK and its neighbours, compare them, and let two of them write",
  )
  .option("--windows <count>", "windows to evaluate, of 303", positiveInteger, 16)
  .option("--calibration-windows <count>", "windows to calibrate on", positiveInteger, 8)
  .addOption(backendOption())
  .action(run)
  .parseAsync();
