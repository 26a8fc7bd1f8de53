// OmniQuant's equivalent pairs of a whole model (arXiv 2308.13137): queries scaled against keys, values against the
// output projection, block by block, by what the quantized block computes.
import { TermsLinear } from "../ops/mod.ts";
import {
  type AttentionHeads,
  type BlockWeights,
  calibrate,
  type DecoderWeights,
  type LinearMethod,
  type LinearParameters,
  linearProduct,
  type Matrix,
  queryKeyScale,
  scaleQueryKey,
  scaleValueOutput,
  toQueryHeads,
  valueOutputScale,
} from "../quant/mod.ts";
import type { DecoderBlock } from "./block.ts";
import type { CacheTransform } from "./cache_transform.ts";
import { decoderWeights } from "./decoder_weights.ts";
import type { LinearSlot } from "./linear_slot.ts";
import type { Model, Pass } from "./model.ts";
import { rewriteModel } from "./rewrite_model.ts";
import { type BlockWindow, runBlock } from "./_run_block.ts";

/** Options of {@linkcode searchPairs}. */
export interface SearchPairsOptions {
  /** Token ids of the windows that the loss is measured on. */
  readonly windows: readonly Uint32Array<ArrayBuffer>[];
  /** How the layers of a block are quantized for its loss; plain rounding will do. */
  readonly linear: LinearMethod;
  /** How the cache is quantized. Without it keys are exact, and no scale between queries and keys is searched. */
  readonly cache?: CacheTransform;
  /** Exponents tried, `0, 1/steps, ..., 1`, see {@linkcode valueOutputScale}. Default 8. */
  readonly steps?: number;
  /** By which part a scale must better the loss to be kept, for on few tokens losses differ by chance. Default 0.01. */
  readonly margin?: number;
  /** Called after each block. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the work. */
  readonly signal?: AbortSignal;
}

/** What was found for a pair of projections. */
export interface PairChoice {
  /** The layer whose outputs are multiplied: the key projection, or the one whose are divided: the value projection. */
  readonly layer: string;
  /** The exponent; undefined where none was better than no scale, by the margin. */
  readonly alpha?: number;
  /** Squared output error of the quantized block per value, without a scale and with each that was tried. */
  readonly losses: readonly number[];
}

/** The best pairs. */
export interface PairSearch {
  /** The rewritten weights. */
  readonly weights: DecoderWeights;
  /** By what the outputs of query, key and value projections were divided, by their names. */
  readonly outputScales: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
  /** In the order of the search. */
  readonly choices: readonly PairChoice[];
}

/**
 * Searches scales between queries and keys and between values and output projections. The objective is OmniQuant's,
 * block-wise: the mean squared error of the block's output, here with its attention and its cache quantized and its
 * feed-forward layers, whose errors would drown the others, in float, and always from the float model's inputs. OmniQuant descends on its gradient; this tries a family of scales and keeps the best, none included,
 * so that no block is worse for it. Scales commute with the rotary embedding and with heads that share keys and values.
 * Query and key heads with norms of their own (Qwen 3) keep their scale.
 *
 * @param model A model with dense layers. Not changed.
 * @param options Text, quantization and candidates.
 * @returns The equivalent weights.
 * @throws {TypeError} If a layer is quantized already.
 * @throws {RangeError} If there is no window.
 */
export async function searchPairs(model: Model, options: SearchPairsOptions): Promise<PairSearch> {
  const { windows, signal, onProgress } = options;
  if (windows.length === 0) {
    throw new RangeError("Cannot search scales on no text: at least one window is needed");
  }
  const weights = await decoderWeights(model);
  const outputScales = new Map<string, Float32Array<ArrayBuffer>>(), choices: PairChoice[] = [];
  // Its layers are quantized and replaced on the way; what is kept are the weights.
  using scratch = rewriteModel(model, weights);
  const passes: Pass[] = [];
  try {
    for (const window of windows) passes.push(await model.begin(window));
    let inputs: BlockWindow[] = [];
    for (const { hidden, context } of passes) {
      inputs.push({ hidden: await hidden.toMatrix(), context: { ...context, cacheTransform: undefined } });
    }
    const blocks: BlockWeights[] = [];
    for (const [index, block] of model.blocks.entries()) {
      signal?.throwIfAborted();
      const { backend } = model;
      const { outputs, inputs: seen } = await runBlock(block, inputs, { backend, keepInputs: true });
      const search = new BlockSearch(scratch, index, {
        ...options,
        ...{ weights: weights.blocks[index], inputs, outputs },
        seen: (slot) => seen.get(model.linears.get(slot.name)!)!,
      });
      blocks.push(await search.run(outputScales, choices));
      inputs = inputs.map(({ context }, i) => ({ hidden: outputs[i], context }));
      onProgress?.(index + 1, model.blocks.length);
    }
    return { weights: { ...weights, blocks }, outputScales, choices };
  } finally {
    for (const pass of passes) {
      pass.hidden.dispose();
      pass[Symbol.dispose]();
    }
  }
}

interface BlockSearchOptions extends SearchPairsOptions {
  readonly weights: BlockWeights;
  readonly inputs: readonly BlockWindow[];
  readonly outputs: readonly Matrix[];
  /** Inputs of a layer in the float model. */
  readonly seen: (slot: LinearSlot) => Matrix;
}

/** A pair of projections with a scale between them. */
interface Candidate {
  readonly weights: BlockWeights;
  readonly scale: Float32Array<ArrayBuffer>;
}

/** The search in one block, whose layers it replaces by quantized ones. */
class BlockSearch {
  readonly #model: Model;
  readonly #block: DecoderBlock;
  readonly #options: BlockSearchOptions;
  readonly #heads: AttentionHeads;

  constructor(model: Model, index: number, options: BlockSearchOptions) {
    this.#model = model;
    this.#block = model.blocks[index];
    this.#options = options;
    this.#heads = this.#block.parts.attention;
  }

  async run(scales: Map<string, Float32Array<ArrayBuffer>>, choices: PairChoice[]): Promise<BlockWeights> {
    const { cache, steps = 8, seen } = this.#options;
    const { attention } = this.#block.parts;
    const { inputs: [query, key, value], output } = attention, heads = this.#heads;
    const alphas = Array.from({ length: steps + 1 }, (_, i) => i / steps);
    let { weights } = this.#options;
    await this.#quantize(query, weights.query);
    await this.#quantize(key, weights.key);
    await this.#quantize(value, weights.value);
    await this.#quantize(output, weights.output);

    const attended = seen(output), start = weights;
    const put = async ({ value: v, output: o }: BlockWeights, scale?: Float32Array): Promise<void> => {
      await this.#quantize(value, v);
      await this.#quantize(output, o, scale && toQueryHeads(scale, heads));
    };
    const best = await this.#choose(value.name, alphas, choices, {
      candidate: (alpha) => {
        const scale = valueOutputScale(attended, start.output.weight, { ...heads, alpha });
        return { weights: scaleValueOutput(start, scale, heads), scale };
      },
      put: ({ weights, scale }) => put(weights, scale),
      reset: () => put(start),
    });
    if (best) {
      weights = best.weights;
      scales.set(value.name, best.scale);
    }
    if (!cache || attention.queryNorm || attention.keyNorm) return weights;

    const before = weights, rotary = this.#model.config.rope !== undefined;
    const keys = addBias(linearProduct(seen(key), before.key.weight), before.key.bias);
    const putQueryKey = async (weights: BlockWeights): Promise<void> => {
      await this.#quantize(query, weights.query);
      await this.#quantize(key, weights.key);
    };
    const bestKeys = await this.#choose(key.name, alphas, choices, {
      candidate: (alpha) => {
        const scale = queryKeyScale(keys, { ...heads, alpha, rotary });
        return { weights: scaleQueryKey(before, scale, heads), scale };
      },
      put: ({ weights }) => putQueryKey(weights),
      reset: () => putQueryKey(before),
    });
    if (!bestKeys) return before;
    scales.set(query.name, toQueryHeads(bestKeys.scale, heads));
    scales.set(key.name, bestKeys.scale.map((s) => 1 / s));
    return bestKeys.weights;
  }

  /** Tries every exponent, and leaves the block with the best, if any is better than none. */
  async #choose(
    layer: string,
    alphas: readonly number[],
    choices: PairChoice[],
    options: {
      readonly candidate: (alpha: number) => Candidate;
      readonly put: (candidate: Candidate) => Promise<void>;
      readonly reset: () => Promise<void>;
    },
  ): Promise<Candidate | undefined> {
    const losses = [await this.#loss()];
    const { margin = 0.01 } = this.#options;
    let best: { readonly candidate: Candidate; readonly alpha: number } | undefined;
    let least = losses[0] * (1 - margin);
    for (const alpha of alphas) {
      const candidate = options.candidate(alpha);
      await options.put(candidate);
      const loss = await this.#loss();
      losses.push(loss);
      if (loss < least) [best, least] = [{ candidate, alpha }, loss];
    }
    await (best ? options.put(best.candidate) : options.reset());
    choices.push({ layer, ...(best ? { alpha: best.alpha } : {}), losses });
    return best?.candidate;
  }

  /** Puts a layer into the block, quantized for inputs that are divided by a scale. */
  async #quantize(slot: LinearSlot, layer: LinearParameters, scale?: Float32Array): Promise<void> {
    const { linear, seen } = this.#options, x = seen(slot);
    const inputs = scale ? { ...x, data: x.data.map((value, i) => value / scale[i % x.cols]) } : x;
    const quantized = await linear.quantize(
      { name: slot.name, ...layer },
      calibrate(inputs, { hessian: false }),
    );
    const { rows: outputs, cols } = layer.weight;
    slot.replace(new TermsLinear(this.#model.backend, quantized, { inputs: cols, outputs }));
  }

  async #loss(): Promise<number> {
    const { inputs, outputs, cache } = this.#options;
    const windows = inputs.map(({ hidden, context }) => ({
      hidden,
      context: { ...context, cacheTransform: cache },
    }));
    const run = await runBlock(this.#block, windows, { backend: this.#model.backend });
    let sum = 0, count = 0;
    for (const [i, { data }] of run.outputs.entries()) {
      for (let j = 0; j < data.length; j++) sum += (data[j] - outputs[i].data[j]) ** 2;
      count += data.length;
    }
    return sum / count;
  }
}

function addBias(y: Matrix, bias: Float32Array | undefined): Matrix {
  return bias ? { ...y, data: y.data.map((value, i) => value + bias[i % y.cols]) } : y;
}
