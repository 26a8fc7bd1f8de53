// `quik generate`: a continuation of a prompt.
import process from "node:process";
import { Command } from "commander";
import type { BackendChoice } from "../kernels/mod.ts";
import { generate, loadModel } from "../models/mod.ts";
import {
  backendOption,
  interruptSignal,
  jsonOption,
  nonNegativeInteger,
  nonNegativeNumber,
  positiveInteger,
  takeBackend,
} from "./options.ts";

interface GenerateOptions {
  prompt: string;
  maxTokens: number;
  temperature: number;
  topK?: number;
  topP?: number;
  seed: number;
  backend: BackendChoice;
  json: boolean;
}

/** The command. */
export function generateCommand(): Command {
  return new Command("generate")
    .description("Continue a prompt with a model, original or quantized")
    .argument("<model>", "directory of a checkpoint")
    .requiredOption("--prompt <text>", "the text to continue")
    .option("--max-tokens <count>", "tokens to write at most", positiveInteger, 64)
    .option("--temperature <number>", "0 always takes the likeliest token", nonNegativeNumber, 0)
    .option("--top-k <count>", "sample among the likeliest tokens only", positiveInteger)
    .option("--top-p <number>", "sample among tokens of this total probability", nonNegativeNumber)
    .option("--seed <number>", "of the random numbers", nonNegativeInteger, 0)
    .addOption(backendOption())
    .addOption(jsonOption())
    .action(run);
}

async function run(directory: string, options: GenerateOptions): Promise<void> {
  const { prompt, maxTokens, temperature, topK, topP, seed, json } = options;
  using backend = await takeBackend(options.backend, { quiet: json });
  using model = await loadModel(directory, { backend });
  const started = performance.now();
  let text = "";
  let tokens = 0;
  if (!json) process.stdout.write(prompt);
  const signal = interruptSignal();
  for await (
    const piece of generate(model, prompt, { maxTokens, temperature, topK, topP, seed, signal })
  ) {
    tokens++;
    text += piece.text ?? "";
    if (!json) process.stdout.write(piece.text ?? "");
  }
  const seconds = (performance.now() - started) / 1000;
  if (json) console.log(JSON.stringify({ prompt, text, tokens, seconds, backend: backend.name }));
  else process.stdout.write(`\n\n${tokens} tokens in ${seconds.toFixed(1)} s\n`);
}
