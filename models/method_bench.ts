// A model on which methods are measured one after the other, and what the float model does there.
import type { Matrix } from "../quant/mod.ts";
import { averageBitsPerWeight } from "./average_bits.ts";
import type { ComparisonRow, LayerError, MeasuredMethod } from "./comparison_row.ts";
import {
  denseOutput,
  type FloatLogits,
  floatLogits,
  meanDivergence,
  relativeError,
  sampleOutput,
} from "./_float_baseline.ts";
import type { Model } from "./model.ts";
import type { ModelMethod, ModelRewrite } from "./model_method.ts";
import type { ObservedLayer } from "./observe_layers.ts";
import { perplexity } from "./perplexity.ts";
import { type ObservedModel, type RewritingOptions, RewrittenModels } from "./_rewritten_models.ts";
import { withQuantized } from "./_quantize_layers.ts";

/** What methods are measured on. */
export interface MethodBenchOptions {
  /** What one calibration of the float model saw, see `observeLayers`. */
  readonly layers: readonly ObservedLayer[];
  /** Token ids of the calibration windows, for methods that calibrate by themselves. */
  readonly calibration: readonly Uint32Array<ArrayBuffer>[];
  /** Token ids of the text to evaluate on, as one stream. */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** Tokens of an evaluation window. Default 512. */
  readonly window?: number;
  /** Windows to evaluate. Default 24. */
  readonly windows?: number;
  /** Windows of which whole predictions are compared, the first of those. Default 2. */
  readonly divergenceWindows?: number;
}

/** Options of {@linkcode MethodBench.measure}. */
export interface MeasureOptions {
  /** Called with the part that is done, 0 to 1. */
  readonly onPart?: (part: number) => void;
  /** Stops the measurement. */
  readonly signal?: AbortSignal;
}

/** A float model and its outputs, on which methods are measured. Between two measurements the model is as it was. */
export class MethodBench implements Disposable {
  readonly #model: Model;
  readonly #options: MethodBenchOptions;
  readonly #logits: readonly FloatLogits[];
  readonly #outputs: readonly Matrix[];
  readonly #rewrites: RewrittenModels;

  private constructor(
    model: Model,
    options: MethodBenchOptions,
    outputs: readonly Matrix[],
    logits: readonly FloatLogits[],
  ) {
    this.#model = model;
    this.#options = options;
    this.#outputs = outputs;
    this.#rewrites = new RewrittenModels(model);
    this.#logits = logits;
  }

  /**
   * Runs the float model, to know what methods should come close to.
   *
   * @param model The float model.
   * @param options Calibration, text, and what to measure.
   * @returns The bench.
   * @throws {RangeError} If the text is shorter than a window.
   */
  static async create(model: Model, options: MethodBenchOptions): Promise<MethodBench> {
    const { ids, window = 512, divergenceWindows = 2, layers } = options;
    if (ids.length < window) {
      throw new RangeError(`Cannot evaluate a text of ${ids.length} tokens: one window has ${window}`);
    }
    const outputs: Matrix[] = [];
    for (const layer of layers) outputs.push(await sampleOutput(model, layer.slot.linear, layer));
    const count = Math.min(divergenceWindows, Math.floor(ids.length / window));
    const compared = Array.from({ length: count }, (_, i) => ids.slice(i * window, (i + 1) * window));
    return new MethodBench(model, options, outputs, await floatLogits(model, compared));
  }

  /**
   * Quantizes the model with a method, measures it, and puts the float layers back.
   *
   * @param method The method.
   * @param options Progress and signal.
   * @returns What was found, or why the method failed.
   * @throws The signal's reason, if it stopped the measurement.
   */
  async measure(method: ModelMethod, options: MeasureOptions = {}): Promise<ComparisonRow> {
    const started = performance.now();
    try {
      return await this.#measure(method, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      const seconds = (performance.now() - started) / 1000;
      return { method: method.name, error: error instanceof Error ? error.message : String(error), seconds };
    }
  }

  /** Quantizing and evaluating each count as half of the work. */
  async #measure(method: ModelMethod, options: MeasureOptions): Promise<MeasuredMethod> {
    const { ids, window = 512, windows = 24 } = this.#options;
    const { onPart = () => {}, signal } = options;
    const started = performance.now();
    const since = (): number => (performance.now() - started) / 1000;
    const { rewrite } = method;
    const rewritten = rewrite &&
      await this.#rewritten(rewrite, { onPart: (part) => onPart(part / 4), signal });
    const { model, layers } = rewritten ?? { model: this.#model, layers: this.#options.layers };
    const begun = rewritten ? 0.25 : 0;
    const quantizing = {
      ...{ ...this.#options, layers, signal },
      onPart: (part: number) => onPart(begun + part * (0.5 - begun)),
    };
    return await withQuantized(model, method, quantizing, async () => {
      const quantizeSeconds = since();
      const layerErrors = await this.#layerErrors(rewritten);
      const errors = layerErrors.map(({ error }) => error);
      const divergence = await meanDivergence(model, this.#logits);
      const onProgress = ({ done, total }: { done: number; total: number }): void =>
        onPart(0.5 + done / total / 2);
      const evaluated = await perplexity(model, ids, { window, windows, signal, onProgress });
      if (![evaluated.perplexity, divergence, ...errors].every(Number.isFinite)) {
        throw new RangeError("The quantized model predicts values that are not finite");
      }
      return {
        method: method.name,
        weightBits: method.weightBits ?? codeBits(method),
        activationBits: method.activationBits ?? codeBits(method),
        cacheBits: method.cacheBits ?? 16,
        bitsPerWeight: averageBitsPerWeight(model),
        perplexity: evaluated.perplexity,
        divergence,
        outputError: errors.reduce((sum, error) => sum + error, 0) / errors.length,
        worstOutputError: Math.max(...errors),
        layerErrors,
        quantizeSeconds,
        seconds: since(),
      };
    });
  }

  #rewritten(
    rewrite: ModelRewrite,
    options: Pick<RewritingOptions, "onPart" | "signal">,
  ): Promise<ObservedModel> {
    const { layers, calibration } = this.#options;
    const samples = layers[0]?.calibration.inputs.rows;
    return this.#rewrites.get(rewrite, { ...options, calibration, samples });
  }

  /** Outputs of a rewritten model's layers are compared with what they are before quantization, in the first one's scale. */
  async #layerErrors(rewritten?: ObservedModel): Promise<LayerError[]> {
    const { model, layers } = rewritten ?? { model: this.#model, layers: this.#options.layers };
    const results: LayerError[] = [];
    for (const [index, observed] of layers.entries()) {
      const { slot, layer: { name } } = observed;
      const expected = rewritten ? await denseOutput(model, observed) : this.#outputs[index];
      const output = await sampleOutput(model, slot.linear, observed);
      const error = relativeError(output, expected, rewritten?.outputScales?.get(name));
      results.push({ layer: name, error });
    }
    return results;
  }

  /** Frees what it holds; the model is its owner's. */
  [Symbol.dispose](): void {
    this.#rewrites[Symbol.dispose]();
  }
}

/** Layers that no method touches are float; what a method that does not say does to them is not known. */
function codeBits({ linear, whole }: ModelMethod): number | undefined {
  return linear || whole ? undefined : 16;
}
