// `quik eval`: perplexity of a text.
import { Command } from "commander";
import type { BackendChoice } from "../kernels/mod.ts";
import { loadModel, loadTokenizer, perplexity } from "../models/mod.ts";
import {
  backendOption,
  interruptSignal,
  jsonOption,
  positiveInteger,
  readTextFile,
  takeBackend,
} from "./options.ts";
import { startProgress } from "./progress.ts";

interface EvalOptions {
  text: string;
  window: number;
  windows?: number;
  backend: BackendChoice;
  json: boolean;
}

/** The command. */
export function evalCommand(): Command {
  return new Command("eval")
    .description("Perplexity of a model, original or quantized, on a text")
    .argument("<model>", "directory of a checkpoint")
    .requiredOption("--text <file>", "the text")
    .option("--window <tokens>", "tokens of a window; windows do not overlap", positiveInteger, 512)
    .option("--windows <count>", "number of windows to score (default: all)", positiveInteger)
    .addOption(backendOption())
    .addOption(jsonOption())
    .action(run);
}

async function run(directory: string, options: EvalOptions): Promise<void> {
  const text = await readTextFile(options.text);
  using backend = await takeBackend(options.backend, { quiet: options.json });
  const tokenizer = await loadTokenizer(directory);
  using model = await loadModel(directory, { backend });
  using progress = startProgress("Windows");
  const started = performance.now();
  const result = await perplexity(model, tokenizer.encode(text), {
    window: options.window,
    windows: options.windows,
    onProgress: ({ done, total }) => progress.update(done, total),
    signal: interruptSignal(),
  });
  const seconds = (performance.now() - started) / 1000;
  if (options.json) {
    const { perplexity, tokens, windows } = result;
    console.log(
      JSON.stringify({ perplexity, tokens, windows, window: options.window, seconds, backend: backend.name }),
    );
  } else {
    console.log(
      `Perplexity ${
        result.perplexity.toFixed(4)
      } over ${result.windows} windows of ${options.window} tokens ` +
        `(${result.tokens} scored) in ${seconds.toFixed(1)} s`,
    );
  }
}
