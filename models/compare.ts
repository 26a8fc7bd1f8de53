// Many methods on one model, side by side: each quantizes the whole model, is measured, and leaves it as it was.
import type { Matrix } from "../quant/mod.ts";
import { averageBitsPerWeight } from "./average_bits.ts";
import {
  type FloatLogits,
  floatLogits,
  meanDivergence,
  relativeError,
  sampleOutput,
} from "./_float_baseline.ts";
import type { Model } from "./model.ts";
import type { ModelMethod } from "./model_method.ts";
import type { ObservedLayer } from "./observe_layers.ts";
import { perplexity } from "./perplexity.ts";
import { withQuantized } from "./_quantize_layers.ts";

/** How far the output of a quantized layer is from the float layer's. */
export interface LayerError {
  /** Full module name. */
  readonly layer: string;
  /** `||y - y_float|| / ||y_float||` over the calibration samples. */
  readonly error: number;
}

/** What a comparison found of a method. */
export interface MeasuredMethod {
  /** Name of the method. */
  readonly method: string;
  /** Bits of a weight's code, if the method says; 16 means float. */
  readonly weightBits?: number;
  /** Bits of an activation's code, if the method says; 16 means float. */
  readonly activationBits?: number;
  /** Bits of a cached key or value; 16 means float. */
  readonly cacheBits: number;
  /** All stored bits of the linear layers over their number of weights. */
  readonly bitsPerWeight: number;
  /** Perplexity over the evaluation windows. */
  readonly perplexity: number;
  /** Mean over tokens of the Kullback-Leibler divergence of predictions from the float model's, in nats. */
  readonly divergence: number;
  /** Mean over layers of the relative output error. */
  readonly outputError: number;
  /** Largest relative output error of a layer. */
  readonly worstOutputError: number;
  /** Relative output error of each layer, in the order of the forward. */
  readonly layerErrors: readonly LayerError[];
  /** Seconds to quantize the model. */
  readonly quantizeSeconds: number;
  /** Seconds in all, evaluation included. */
  readonly seconds: number;
}

/** A method that failed. */
export interface FailedMethod {
  /** Name of the method. */
  readonly method: string;
  /** Why it failed. */
  readonly error: string;
  /** Seconds until it did. */
  readonly seconds: number;
}

/** A row of a comparison. */
export type ComparisonRow = MeasuredMethod | FailedMethod;

/** How far a comparison is. */
export interface ComparisonProgress {
  /** The method at work. */
  readonly method: string;
  /** Methods done, the present one in parts. */
  readonly done: number;
  /** Number of methods. */
  readonly total: number;
  /** Estimated from the time taken so far. */
  readonly secondsLeft: number;
}

/** Options of {@linkcode compareMethods}. */
export interface CompareOptions {
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
  /** Called when a method is done or has failed. */
  readonly onRow?: (row: ComparisonRow) => void;
  /** Called as the work goes on. */
  readonly onProgress?: (progress: ComparisonProgress) => void;
  /** Stops the comparison; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The yardstick, and what each measurement needs. */
interface Bench {
  readonly model: Model;
  readonly options: CompareOptions;
  readonly logits: readonly FloatLogits[];
  readonly outputs: readonly Matrix[];
}

/**
 * Quantizes a model with one method after the other and measures each. The model ends as it began. A method that fails
 * gives a row that says why, and the others go on.
 *
 * @param model The float model.
 * @param methods The methods.
 * @param options Calibration, text, and what to measure.
 * @returns A row per method, in their order.
 * @throws {RangeError} If the text is too short or there is nothing to evaluate.
 */
export async function compareMethods(
  model: Model,
  methods: readonly ModelMethod[],
  options: CompareOptions,
): Promise<ComparisonRow[]> {
  const { ids, window = 512, divergenceWindows = 2, signal } = options;
  if (ids.length < window) {
    throw new RangeError(`Cannot evaluate a text of ${ids.length} tokens: one window has ${window}`);
  }
  const outputs: Matrix[] = [];
  for (const layer of options.layers) outputs.push(await sampleOutput(model, layer.slot.linear, layer));
  const compared = Array.from(
    { length: divergenceWindows },
    (_, i) => ids.slice(i * window, (i + 1) * window),
  );
  const logits = await floatLogits(model, compared.filter(({ length }) => length > 0));
  const bench: Bench = { model, options, logits, outputs };
  const report = startReport(methods.length, options.onProgress);
  const rows: ComparisonRow[] = [];
  for (const [index, method] of methods.entries()) {
    signal?.throwIfAborted();
    const row = await measureOrFail(bench, method, (part) => report(method.name, index + part));
    rows.push(row);
    options.onRow?.(row);
  }
  return rows;
}

/** Estimates the time left from the time taken. */
function startReport(
  total: number,
  onProgress: CompareOptions["onProgress"],
): (method: string, done: number) => void {
  const started = performance.now();
  return (method, done) => {
    const elapsed = (performance.now() - started) / 1000;
    onProgress?.({ method, done, total, secondsLeft: elapsed / done * (total - done) });
  };
}

async function measureOrFail(
  bench: Bench,
  method: ModelMethod,
  onPart: (part: number) => void,
): Promise<ComparisonRow> {
  const started = performance.now();
  try {
    return await measure(bench, method, onPart);
  } catch (error) {
    bench.options.signal?.throwIfAborted();
    const seconds = (performance.now() - started) / 1000;
    return { method: method.name, error: error instanceof Error ? error.message : String(error), seconds };
  }
}

/** Quantizing and evaluating each count as half of a method's time. */
async function measure(
  bench: Bench,
  method: ModelMethod,
  onPart: (part: number) => void,
): Promise<MeasuredMethod> {
  const { model, options } = bench;
  const { window = 512, windows = 24, signal } = options;
  const started = performance.now();
  const since = (): number => (performance.now() - started) / 1000;
  const quantizing = { ...options, onPart: (part: number) => onPart(part / 2) };
  return await withQuantized(model, method, quantizing, async () => {
    const quantizeSeconds = since();
    const layerErrors = await measureLayers(bench);
    const errors = layerErrors.map(({ error }) => error);
    const divergence = await meanDivergence(model, bench.logits);
    const evaluated = await perplexity(model, options.ids, {
      window,
      windows,
      signal,
      onProgress: ({ done, total }) => onPart(0.5 + done / total / 2),
    });
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

/** Layers that no method touches are float; what a method that does not say does to them is not known. */
function codeBits({ linear, whole }: ModelMethod): number | undefined {
  return linear || whole ? undefined : 16;
}

async function measureLayers({ model, options, outputs }: Bench): Promise<LayerError[]> {
  const results: LayerError[] = [];
  for (const [index, layer] of options.layers.entries()) {
    const output = await sampleOutput(model, layer.slot.linear, layer);
    results.push({ layer: layer.layer.name, error: relativeError(output, outputs[index]) });
  }
  return results;
}
