// `quik quantize`: a checkpoint in, a quantized checkpoint out.
import { join } from "node:path";
import { Command, Option } from "commander";
import { requireEmptyDirectory } from "../io/mod.ts";
import type { BackendChoice } from "../kernels/mod.ts";
import {
  averageBitsPerWeight,
  calibrationWindows,
  loadModel,
  loadTokenizer,
  quantizeModel,
  saveModel,
} from "../models/mod.ts";
import {
  backendOption,
  interruptSignal,
  jsonOption,
  nonNegativeInteger,
  nonNegativeNumber,
  positiveInteger,
  readTextFile,
  say,
  takeBackend,
} from "./options.ts";
import { startProgress } from "./progress.ts";

interface QuantizeOptions {
  out: string;
  method: "quik" | "rtn";
  bits: 4 | 8;
  downBits: 4 | 8;
  outliers?: number;
  actOrder: boolean;
  noiseAware: boolean;
  clip: boolean;
  threshold: number;
  percDamp: number;
  calibration?: string;
  window: number;
  windows: number;
  backend: BackendChoice;
  json: boolean;
}

const bitsOption = (flags: string, description: string): Option =>
  new Option(flags, description).choices(["4", "8"]).argParser((text) => {
    if (text !== "4" && text !== "8") {
      throw new TypeError(`Cannot quantize to ${text} bits: it must be 4 or 8`);
    }
    return Number(text);
  });

/** The command. */
export function quantizeCommand(): Command {
  return new Command("quantize")
    .description("Quantize weights and activations of a model with QUIK and save the result")
    .argument("<model>", "directory of a checkpoint in the Hugging Face layout")
    .requiredOption("--out <dir>", "directory to write: new or empty")
    .option(
      "--calibration <file>",
      "text to calibrate on, unlike the one to evaluate on (default: calibration.txt beside the model)",
    )
    .addOption(
      new Option("--method <name>", "quik rounds with GPTQ, rtn to nearest").choices(["quik", "rtn"]).default(
        "quik",
      ),
    )
    .addOption(bitsOption("--bits <bits>", "bits of weights and activations").default(4))
    .addOption(bitsOption("--down-bits <bits>", "bits of the down projection, at least --bits").default(8))
    .option(
      "--outliers <count>",
      "columns kept in 16 bits (default: a sixteenth of the width, at most 256)",
      nonNegativeInteger,
    )
    .option("--no-act-order", "round columns in the authors' order, from small inputs to large")
    .option("--no-noise-aware", "let GPTQ take activations for exact, as the authors' does")
    .option("--no-clip", "do not search a clipped range")
    .option(
      "--threshold <number>",
      "layers whose inputs never exceed this keep no outliers",
      nonNegativeNumber,
      0,
    )
    .option("--perc-damp <number>", "GPTQ's damping", nonNegativeNumber, 0.01)
    .option("--window <tokens>", "tokens of a calibration window", positiveInteger, 512)
    .option("--windows <count>", "number of calibration windows", positiveInteger, 128)
    .addOption(backendOption())
    .addOption(jsonOption())
    .action(run);
}

async function run(directory: string, options: QuantizeOptions): Promise<void> {
  await requireEmptyDirectory(options.out);
  const text = await readTextFile(options.calibration ?? join(directory, "calibration.txt"));
  using backend = await takeBackend(options.backend, { quiet: options.json });
  const tokenizer = await loadTokenizer(directory);
  using model = await loadModel(directory, { backend });
  const { bits, downBits, outliers, actOrder, noiseAware, clip, threshold, percDamp, method } = options;
  const windows = calibrationWindows(tokenizer.encode(text), {
    window: options.window,
    windows: options.windows,
  });
  using progress = startProgress("Layers");
  const started = performance.now();
  await quantizeModel(model, {
    windows,
    bits,
    downBits,
    outliers,
    actOrder,
    noiseAware,
    clip,
    threshold,
    percDamp,
    rounding: method === "quik" ? "gptq" : "nearest",
    onProgress: (done, total) => progress.update(done, total),
    signal: interruptSignal(),
  });
  await saveModel(model, options.out, { source: directory });
  const seconds = (performance.now() - started) / 1000;
  const bitsPerWeight = averageBitsPerWeight(model);
  if (options.json) {
    console.log(JSON.stringify({ out: options.out, bitsPerWeight, seconds, backend: backend.name }));
  } else say(`Wrote ${options.out}: ${bitsPerWeight.toFixed(2)} bits per weight in ${seconds.toFixed(1)} s`);
}
