// Generation: one token after another, each from the logits of the last, through a KV cache on the device.
import { sliceRows } from "./_rows.ts";
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
  const { maxTokens = 128, stopTokenIds = model.config.eosTokenIds, signal } = options;
  if (!(maxTokens >= 1)) throw new RangeError(`Cannot generate ${maxTokens} tokens: at least one is needed`);
  const sample = createSampler(options);
  const tokenizer = options.tokenizer ?? (typeof prompt === "string" ? await model.tokenizer() : undefined);
  const promptIds = typeof prompt === "string" ? tokenizer!.encode(prompt) : prompt;
  const text = tokenizer && new TextStream(tokenizer, promptIds);
  // The last token is given out without being run.
  const capacity = Math.min(promptIds.length + Math.floor(maxTokens) - 1, model.config.maxPositions);
  using cache = new ModelCache(model, Math.max(capacity, promptIds.length));
  let input = promptIds;
  for (let count = 0; count < maxTokens; count++) {
    signal?.throwIfAborted();
    const id = sample(await lastLogits(model, input, cache));
    if (stopTokenIds.includes(id)) return;
    yield { id, text: text?.push(id) };
    if (cache.length === model.config.maxPositions) return;
    input = Uint32Array.of(id);
  }
}

/** Runs tokens after those in the cache; the logits of the last one. */
async function lastLogits(
  model: Model,
  ids: Uint32Array<ArrayBuffer>,
  cache: ModelCache,
): Promise<Float32Array<ArrayBuffer>> {
  using hidden = await model.forwardHidden(ids, { cache });
  using last = await sliceRows(hidden, ids.length - 1, 1);
  using logits = await model.logits(last);
  return (await logits.toMatrix()).data;
}
