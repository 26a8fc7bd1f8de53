// Quantizing a model for a while: the float layers are set aside and put back, or the model is rewritten first.
import { type Linear, TermsLinear } from "../ops/mod.ts";
import type { LinearMethod, QuantizedLinear } from "../quant/mod.ts";
import { denseLinear } from "./_dense_linear.ts";
import type { Model } from "./model.ts";
import type { ModelMethod } from "./model_method.ts";
import { type ObservedLayer, observeLayers } from "./observe_layers.ts";

/** What quantizing takes besides the method. */
export interface QuantizeLayersOptions {
  readonly layers: readonly ObservedLayer[];
  readonly calibration: readonly Uint32Array<ArrayBuffer>[];
  /** Told the part that is done, 0 to 1. */
  readonly onPart: (part: number) => void;
  readonly signal?: AbortSignal;
}

/** A model while it is quantized. */
export interface QuantizedModel {
  /** The model, or that which a method rewrote it to. */
  readonly model: Model;
  /** Where its layers sit, and what they were in float. */
  readonly layers: readonly ObservedLayer[];
  /** See `RewrittenModel`. */
  readonly outputScales?: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
}

/** Quantizes the model, uses it, and leaves it as it was, whatever happens. */
export async function withQuantized<Result>(
  model: Model,
  method: ModelMethod,
  options: QuantizeLayersOptions,
  use: (quantized: QuantizedModel) => Promise<Result>,
): Promise<Result> {
  const { layers, onPart, signal, calibration } = options;
  if (!method.rewrite) return await withReplaced({ model, layers }, method, options, use);
  const half = (from: number) => (done: number, total: number): void => onPart(from + done / total / 4);
  const rewritten = await method.rewrite(model, { windows: calibration, signal, onProgress: half(0) });
  using own = rewritten.model;
  const samples = layers[0]?.calibration.inputs.rows;
  const observed = await observeLayers(own, calibration, { samples, signal, onProgress: half(0.25) });
  const rest = { ...options, layers: observed, onPart: (part: number) => onPart((1 + part) / 2) };
  return await withReplaced({ ...rewritten, layers: observed }, method, rest, use);
}

/** Quantizes a model in place, uses it, and puts the float layers back. */
async function withReplaced<Result>(
  quantized: QuantizedModel,
  method: ModelMethod,
  options: QuantizeLayersOptions,
  use: (quantized: QuantizedModel) => Promise<Result>,
): Promise<Result> {
  const { onPart, signal, calibration } = options;
  const { model, layers } = quantized;
  const floats = new Map<ObservedLayer, Linear>();
  const cache = model.cacheTransform;
  const put = (layer: ObservedLayer, linear: Linear): void => {
    floats.set(layer, layer.slot.exchange(linear));
  };
  try {
    if (method.whole) {
      for (const layer of layers) put(layer, denseLinear(model.backend, layer.layer));
      const onProgress = (done: number, total: number): void => onPart(done / total);
      await method.whole(model, { windows: calibration, onProgress, signal });
    } else if (method.linear) {
      for (const [index, layer] of layers.entries()) {
        signal?.throwIfAborted();
        put(layer, await quantizeLayer(model, method.linear, layer));
        onPart((index + 1) / layers.length);
      }
    }
    if (method.cache) model.cacheTransform = method.cache;
    return await use(quantized);
  } finally {
    model.cacheTransform = cache;
    for (const [{ slot }, linear] of floats) slot.replace(linear);
  }
}

async function quantizeLayer(
  model: Model,
  method: LinearMethod,
  { layer, calibration }: ObservedLayer,
): Promise<Linear> {
  try {
    const quantized = await method.quantize(layer, calibration);
    checkQuantized(quantized);
    return new TermsLinear(model.backend, quantized, {
      inputs: layer.weight.cols,
      outputs: layer.weight.rows,
    });
  } catch (error) {
    throw new Error(`${layer.name}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** Methods may come from people who do not check types. */
function checkQuantized(value: unknown): asserts value is QuantizedLinear {
  const { bitsPerWeight, forward } = (value ?? {}) as Partial<QuantizedLinear>;
  if (typeof forward !== "function" || !(typeof bitsPerWeight === "number" && bitsPerWeight >= 0)) {
    throw new TypeError("the method returned no quantized layer, which has bitsPerWeight and forward()");
  }
}
