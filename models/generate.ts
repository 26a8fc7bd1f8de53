// Generation: one token after another, each from the logits of the last, through a KV cache on the device.
import { greedyIds, sampledIds } from "./_choose.ts";
import { TextStream } from "./_text_stream.ts";
import { type Model, ModelCache } from "./model.ts";
import { createSampler, type SamplerOptions } from "./sampler.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Options of {@linkcode generate}. */
export interface GenerateOptions extends SamplerOptions {
  /** Stop after so many tokens. Default: 128. */
  readonly maxTokens?: number;
  /** Tokens that end the text; they are not given out. Default: those of `config.json`. */
  readonly stopTokenIds?: readonly number[];
  /** Turns ids into text. Default: the model's own if the prompt is a text, none if it is ids. */
  readonly tokenizer?: Tokenizer;
  /** Stops the generation; the iteration then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A generated token. */
export interface GeneratedToken {
  /** Its id. */
  readonly id: number;
  /** The text it adds, if there is a tokenizer; empty while a character of several tokens is unfinished. */
  readonly text?: string;
}

/**
 * Continues a prompt. Ends at a stop token, after `maxTokens`, or when the model's positions are used up.
 *
 * @param model The model.
 * @param prompt A text, which the model's tokenizer encodes, or token ids.
 * @param options How many tokens, and how they are chosen; greedy by default.
 * @returns The tokens, as they are chosen.
 * @throws {RangeError} If the prompt is empty or longer than the model takes, or an option is out of range.
 *
 * @example Usage
 * ```ts
 * import { createWasmBackend } from "@quik/quant/kernels";
 * import { generate, loadModel } from "@quik/quant/models";
 * import { assertEquals } from "@std/assert";
 *
 * using backend = await createWasmBackend();
 * using model = await loadModel("examples/demo_model", { backend });
 * let text = "";
 * for await (const token of generate(model, "The people of the United", { maxTokens: 3 })) text += token.text;
 * assertEquals(text, " States have been");
 * ```
 */
export async function* generate(
  model: Model,
  prompt: string | Uint32Array<ArrayBuffer>,
  options: GenerateOptions = {},
): AsyncGenerator<GeneratedToken, void, void> {
  const { maxTokens = 128, stopTokenIds = model.config.eosTokenIds } = options;
  if (!(maxTokens >= 1)) throw new RangeError(`Cannot generate ${maxTokens} tokens: at least one is needed`);
  const sampler = createSampler(options);
  const tokenizer = options.tokenizer ?? (typeof prompt === "string" ? await model.tokenizer() : undefined);
  const promptIds = typeof prompt === "string" ? tokenizer!.encode(prompt) : prompt;
  const text = tokenizer && new TextStream(tokenizer, promptIds);
  const { maxPositions } = model.config;
  // The last token is chosen without being run, so one more than there are positions.
  const count = Math.max(1, Math.min(Math.floor(maxTokens), maxPositions - promptIds.length + 1));
  using cache = new ModelCache(model, promptIds.length + count - 1);
  const choice = { count, cache, signal: options.signal };
  const ids = options.temperature
    ? sampledIds(model, promptIds, { ...choice, sampler })
    : greedyIds(model, promptIds, choice);
  for await (const id of ids) {
    if (stopTokenIds.includes(id)) return;
    yield { id, text: text?.push(id) };
  }
}
