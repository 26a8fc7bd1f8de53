// `quik compare`: many methods on one model, side by side.
import { join } from "node:path";
import { Command } from "commander";
import { requireEmptyDirectory } from "../io/mod.ts";
import type { Backend, BackendChoice } from "../kernels/mod.ts";
import {
  amplifyCheckpoint,
  calibrationWindows,
  compareMethods,
  type CompareOptions,
  type ComparisonRow,
  loadModel,
  loadTokenizer,
  type MeasuredMethod,
  type Model,
  type ModelMethod,
  type ObservedLayer,
  observeLayers,
  perplexity,
} from "../models/mod.ts";
import { comparisonTable, describeRow } from "./comparison_table.ts";
import { chooseMethods } from "./method_choice.ts";
import {
  backendOption,
  interruptSignal,
  jsonOption,
  positiveInteger,
  readTextFile,
  say,
  takeBackend,
} from "./options.ts";
import { startProgress } from "./progress.ts";
import type { Comparison, ComparisonSettings } from "./report/comparison.ts";

interface CompareCommandOptions {
  methods: string;
  methodFile: string[];
  text: string;
  window: number;
  windows: number;
  calibration?: string;
  calibrationWindows: number;
  amplify: boolean;
  out?: string;
  backend: BackendChoice;
  json: boolean;
}

/** The command. */
export function compareCommand(): Command {
  return new Command("compare")
    .description("Quantize a model with many methods and compare size, perplexity and errors")
    .argument("<model>", "directory of a checkpoint in the Hugging Face layout, not quantized")
    .option("--methods <names>", "all, or names separated by commas", "all")
    .option(
      "--method-file <file>",
      "a module that exports a method of yours, as default or `method`; may be repeated",
      (file: string, files: string[]) => [...files, file],
      [],
    )
    .requiredOption("--text <file>", "the text to evaluate on")
    .option("--window <tokens>", "tokens of a window", positiveInteger, 512)
    .option("--windows <count>", "windows to evaluate", positiveInteger, 24)
    .option(
      "--calibration <file>",
      "text to calibrate on, unlike the one to evaluate on (default: calibration.txt beside the model)",
    )
    .option("--calibration-windows <count>", "windows to calibrate on", positiveInteger, 32)
    .option(
      "--amplify",
      "first give the model outlier channels, 30 times larger, by an exact rescaling",
      false,
    )
    .option("--out <dir>", "directory for the table and report.html: new or empty")
    .addOption(backendOption())
    .addOption(jsonOption())
    .action(run);
}

async function run(directory: string, options: CompareCommandOptions): Promise<void> {
  const { out, json } = options;
  const methods = await chooseMethods(options.methods, options.methodFile);
  if (out) await requireEmptyDirectory(out);
  using backend = await takeBackend(options.backend, { quiet: json });
  const comparison = await compare(directory, { ...options, chosen: methods, computing: backend });
  if (json) console.log(JSON.stringify(comparison.rows));
  else console.log(comparisonTable(comparison.rows));
  if (out) {
    const { writeReport } = await import("./report/write.ts");
    await writeReport(out, comparison);
    say(`Wrote ${join(out, "report.html")}`);
  }
}

type Run = CompareCommandOptions & {
  readonly chosen: readonly ModelMethod[];
  readonly computing: Backend;
};

async function compare(directory: string, options: Run): Promise<Comparison> {
  const { window, computing: backend } = options;
  const tokenizer = await loadTokenizer(directory);
  const ids = tokenizer.encode(await readTextFile(options.text));
  const path = options.calibration ?? join(directory, "calibration.txt");
  const calibration = calibrationWindows(tokenizer.encode(await readTextFile(path)), {
    window,
    windows: options.calibrationWindows,
  });
  const files = options.amplify ? await amplifyCheckpoint(directory) : directory;
  using model = await loadModel(files, { backend });
  const signal = interruptSignal();
  const started = performance.now();
  const layers = await observe(model, calibration, signal);
  const { chosen, windows } = options;
  const rows = await measure(model, { chosen, layers, calibration, ids, window, windows, signal });
  const settings: ComparisonSettings = {
    model: directory,
    amplified: options.amplify,
    window,
    windows: Math.min(windows, Math.floor(ids.length / window)),
    calibrationWindows: calibration.length,
    backend: backend.name,
    seconds: (performance.now() - started) / 1000,
  };
  const floatPerplexity =
    rows.find((row): row is MeasuredMethod => row.method === "float" && !("error" in row))?.perplexity ??
      (await perplexity(model, ids, { window, windows })).perplexity;
  return {
    settings,
    floatPerplexity,
    rows,
    layers: layers.map(({ layer, calibration }) => ({ ...layer, calibration })),
  };
}

async function observe(
  model: Model,
  windows: readonly Uint32Array<ArrayBuffer>[],
  signal: AbortSignal,
): Promise<ObservedLayer[]> {
  using progress = startProgress("Calibrating");
  return await observeLayers(model, windows, {
    signal,
    onProgress: (done, total) => progress.update(done, total),
  });
}

type Measuring = Omit<CompareOptions, "onProgress" | "onRow"> & { readonly chosen: readonly ModelMethod[] };

/** A bar on a terminal; elsewhere a line per method, so that a log shows how far it is. */
async function measure(model: Model, options: Measuring): Promise<ComparisonRow[]> {
  using progress = startProgress("Methods");
  let secondsLeft = 0;
  return await compareMethods(model, options.chosen, {
    ...options,
    onProgress: ({ method, done, total, ...state }) => {
      secondsLeft = state.secondsLeft;
      progress.update(Math.round(done * 100) / 100, total, method);
    },
    onRow: (row) => {
      if (!progress.visible) say(`${describeRow(row)}; about ${Math.ceil(secondsLeft)} s left`);
    },
  });
}
