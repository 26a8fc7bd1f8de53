// Perplexity by the protocol of GPTQ, QUIK and AWQ: windows side by side, the tail dropped, every window on its own.
import { type DeviceTensor, tokenNll, uploadBytes } from "../ops/mod.ts";
import { sliceRows } from "./_rows.ts";
import type { Model } from "./model.ts";

/** Largest block of logits on the device; a long window over a large vocabulary is taken in parts. */
const MAX_LOGITS = 2 ** 24;

/** Options of {@linkcode perplexity}. */
export interface PerplexityOptions {
  /** Tokens per window, at least 2. The published figures of a model hold for one window length only. */
  readonly window: number;
  /** Evaluate only so many windows, from the beginning. Default: all. */
  readonly windows?: number;
  /** Called after each window. */
  readonly onProgress?: (progress: PerplexityProgress) => void;
  /** Stops the evaluation; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** How far an evaluation is. */
export interface PerplexityProgress {
  /** Windows done. */
  readonly done: number;
  /** Windows in all. */
  readonly total: number;
  /** Perplexity over the windows done. */
  readonly perplexity: number;
}

/** What an evaluation found. */
export interface PerplexityResult {
  /** `exp` of the mean over windows of each window's mean negative log-likelihood. */
  readonly perplexity: number;
  /** Number of windows. */
  readonly windows: number;
  /** Tokens scored: all but the first of each window. */
  readonly tokens: number;
  /** Mean negative log-likelihood of each window, in nats. */
  readonly windowNll: Float64Array<ArrayBuffer>;
}

/**
 * Perplexity of a model on a text: non-overlapping windows, the tail dropped, nothing inserted between them, the first
 * token of each not scored.
 *
 * @param model The model.
 * @param ids Token ids of the text, as one stream.
 * @param options Window length and number of windows.
 * @returns The perplexity and what it is made of.
 * @throws {RangeError} If the window is shorter than 2 tokens, longer than the model takes, or longer than the text.
 *
 * @example Usage
 * ```ts
 * import { createReferenceBackend } from "@quik/quant/kernels";
 * import { loadModel, perplexity } from "@quik/quant/models";
 * import { assert, assertEquals } from "@std/assert";
 *
 * using backend = createReferenceBackend();
 * using model = await loadModel("tests/fixtures/golden/models/llama-gqa", { backend });
 * const result = await perplexity(model, Uint32Array.from({ length: 20 }, (_, i) => i), { window: 8 });
 * assertEquals(result.tokens, 2 * 7);
 * // Random weights know nothing: about as unsure as the vocabulary of 160 is large, or worse.
 * assert(result.perplexity > 100);
 * ```
 */
export async function perplexity(
  model: Model,
  ids: Uint32Array<ArrayBuffer>,
  options: PerplexityOptions,
): Promise<PerplexityResult> {
  const { window, onProgress, signal } = options;
  const total = countWindows(model, ids, options);
  const windowNll = new Float64Array(total);
  const finish = async (index: number, sum: Promise<number>): Promise<void> => {
    windowNll[index] = await sum / (window - 1);
    const done = index + 1;
    onProgress?.({ done, total, perplexity: perplexityOf(windowNll.subarray(0, done)) });
  };
  // A window is read back while the next one is computed.
  let pending = Promise.resolve();
  try {
    for (let index = 0; index < total; index++) {
      signal?.throwIfAborted();
      const sum = await queueWindow(model, ids.slice(index * window, (index + 1) * window));
      await pending;
      pending = finish(index, sum.total);
    }
    await pending;
  } finally {
    await Promise.allSettled([pending]);
  }
  return { perplexity: perplexityOf(windowNll), windows: total, tokens: total * (window - 1), windowNll };
}

function countWindows(model: Model, ids: Uint32Array, options: PerplexityOptions): number {
  const { window, windows = Infinity } = options;
  const { maxPositions } = model.config;
  if (!Number.isInteger(window) || window < 2 || window > maxPositions) {
    throw new RangeError(
      `Cannot evaluate windows of ${window} tokens: the model takes 2 to ${maxPositions} (max_position_embeddings)`,
    );
  }
  if (!(windows >= 1)) throw new RangeError(`Cannot evaluate ${windows} windows: at least one is needed`);
  if (ids.length < window) {
    throw new RangeError(`Cannot evaluate a text of ${ids.length} tokens: one window has ${window}`);
  }
  return Math.min(Math.floor(windows), Math.floor(ids.length / window));
}

function perplexityOf(windowNll: Float64Array): number {
  return Math.exp(windowNll.reduce((sum, nll) => sum + nll, 0) / windowNll.length);
}

/** Queues one window and the reading of its summed negative log-likelihood, which is wrapped so as not to be awaited. */
async function queueWindow(
  model: Model,
  ids: Uint32Array<ArrayBuffer>,
): Promise<{ total: Promise<number> }> {
  using hidden = await model.forwardHidden(ids);
  const scored = ids.length - 1;
  const chunk = Math.max(1, Math.floor(MAX_LOGITS / model.config.vocabularySize));
  const sums: Promise<number>[] = [];
  for (let first = 0; first < scored; first += chunk) {
    const count = Math.min(chunk, scored - first);
    using rows = await sliceRows(hidden, first, count);
    using logits = await model.logits(rows);
    using targets = uploadBytes(model.backend, ids.slice(first + 1, first + 1 + count));
    sums.push(sumAndFree(await tokenNll(logits, targets)));
  }
  return { total: Promise.all(sums).then((parts) => parts.reduce((sum, part) => sum + part, 0)) };
}

async function sumAndFree(nll: DeviceTensor): Promise<number> {
  using values = nll;
  return (await values.toMatrix()).data.reduce((sum, value) => sum + value, 0);
}
