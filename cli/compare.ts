// `quik compare`: many methods on one model, side by side.
import { join } from "node:path";
import { Command } from "commander";
import { requireEmptyDirectory } from "../io/mod.ts";
import type { BackendChoice } from "../kernels/mod.ts";
import {
  amplifyCheckpoint,
  calibrationWindows,
  type ComparisonRow,
  loadModel,
  loadTokenizer,
  observeLayers,
  perplexity,
} from "../models/mod.ts";
import { compareInWorkers } from "./compare_workers.ts";
import type { BenchSetup } from "./compare_worker.ts";
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
import type { Comparison } from "./report/comparison.ts";

interface CompareCommandOptions {
  methods: string;
  methodFile: string[];
  text: string;
  window: number;
  windows: number;
  calibration?: string;
  calibrationWindows: number;
  amplify: boolean;
  jobs?: number;
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
    .option("--jobs <count>", "methods to measure at the same time (default: one per core)", positiveInteger)
    .option("--out <dir>", "directory for the table and report.html: new or empty")
    .addOption(backendOption())
    .addOption(jsonOption())
    .action(run);
}

/** Bytes that the threads' copies of calibrated layers may take together. */
const MEMORY = 4e9;

async function run(directory: string, options: CompareCommandOptions): Promise<void> {
  const { out, json } = options;
  const names = (await chooseMethods(options.methods, options.methodFile)).map(({ name }) => name);
  if (out) await requireEmptyDirectory(out);
  const comparison = await compare(directory, { ...options, names });
  if (json) console.log(JSON.stringify(comparison.rows));
  else console.log(comparisonTable(comparison.rows));
  if (out) {
    const { writeReport } = await import("./report/write.ts");
    await writeReport(out, comparison);
    say(`Wrote ${join(out, "report.html")}`);
  }
}

async function compare(
  directory: string,
  options: CompareCommandOptions & { readonly names: readonly string[] },
): Promise<Comparison> {
  const { window, amplify, names, methods, methodFile } = options;
  const tokenizer = await loadTokenizer(directory);
  const ids = tokenizer.encode(await readTextFile(options.text));
  const path = options.calibration ?? join(directory, "calibration.txt");
  const calibration = calibrationWindows(tokenizer.encode(await readTextFile(path)), {
    window,
    windows: options.calibrationWindows,
  });
  const signal = interruptSignal();
  const started = performance.now();
  const { layers, backend, floatPerplexity } = await observe(directory, {
    ...options,
    calibration,
    ids,
    signal,
  });
  const jobs = options.jobs ?? defaultJobs(layers, names.length);
  const threads = Math.max(1, Math.floor(navigator.hardwareConcurrency / jobs));
  const windows = Math.min(options.windows, Math.floor(ids.length / window));
  const bench: BenchSetup = {
    ...{ directory, amplify, backend, threads, layers, calibration, ids, window, windows },
    methods: [methods, methodFile],
  };
  const rows = await measure(bench, names, { jobs, signal });
  const seconds = (performance.now() - started) / 1000;
  return {
    settings: {
      ...{ model: directory, amplified: amplify, window, windows, backend, jobs, seconds },
      calibrationWindows: calibration.length,
    },
    floatPerplexity,
    rows,
    layers: layers.map(({ layer, calibration }) => ({ ...layer, calibration })),
  };
}

type Observed = Pick<BenchSetup, "layers" | "backend"> & Pick<Comparison, "floatPerplexity">;

type Observing = Omit<CompareCommandOptions, "calibration"> & Pick<BenchSetup, "calibration" | "ids"> & {
  readonly signal: AbortSignal;
};

/** Calibrates and evaluates the float model. */
async function observe(directory: string, options: Observing): Promise<Observed> {
  const { calibration, ids, window, windows, signal } = options;
  using backend = await takeBackend(options.backend, { quiet: options.json });
  using model = await loadModel(options.amplify ? await amplifyCheckpoint(directory) : directory, {
    backend,
  });
  using progress = startProgress("Calibrating");
  const onProgress = (done: number, total: number): void => progress.update(done, total);
  const layers = await observeLayers(model, calibration, { signal, onProgress });
  return {
    floatPerplexity: (await perplexity(model, ids, { window, windows, signal })).perplexity,
    layers: layers.map(({ layer, calibration }) => ({ layer, calibration })),
    backend: backend.name as BackendChoice,
  };
}

/** One per core, as far as memory goes. */
function defaultJobs(layers: Observed["layers"], methods: number): number {
  const bytes = layers.reduce((sum, { layer, calibration: { hessian, inputs } }) => {
    return sum + layer.weight.data.byteLength + hessian.data.byteLength + inputs.data.byteLength;
  }, 0);
  return Math.max(1, Math.min(navigator.hardwareConcurrency, methods, Math.floor(MEMORY / bytes)));
}

/** A bar on a terminal; elsewhere a line per method, so that a log shows how far it is. */
async function measure(
  bench: BenchSetup,
  names: readonly string[],
  options: { readonly jobs: number; readonly signal: AbortSignal },
): Promise<ComparisonRow[]> {
  using progress = startProgress("Methods");
  let left = 0;
  return await compareInWorkers(bench, {
    ...options,
    names,
    onProgress: ({ method, done, total, secondsLeft }) => {
      left = secondsLeft;
      progress.update(Math.round(done * 100) / 100, total, method);
    },
    onRow: (row) => {
      if (!progress.visible) say(`${describeRow(row)}; about ${Math.ceil(left)} s left`);
    },
  });
}
