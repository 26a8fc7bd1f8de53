// Quantizing a model for a while: the float layers are set aside and put back.
import { type Linear, TermsLinear } from "../ops/mod.ts";
import type { LinearMethod, QuantizedLinear } from "../quant/mod.ts";
import { denseLinear } from "./_dense_linear.ts";
import type { Model } from "./model.ts";
import type { ModelMethod } from "./model_method.ts";
import type { ObservedLayer } from "./observe_layers.ts";

/** What quantizing takes besides the method. */
export interface QuantizeLayersOptions {
  readonly layers: readonly ObservedLayer[];
  readonly calibration: readonly Uint32Array<ArrayBuffer>[];
  /** Told the part that is done, 0 to 1. */
  readonly onPart: (part: number) => void;
  readonly signal?: AbortSignal;
}

/** Quantizes the model, uses it, and puts the float layers back, whatever happens. */
export async function withQuantized<Result>(
  model: Model,
  method: ModelMethod,
  options: QuantizeLayersOptions,
  use: () => Promise<Result>,
): Promise<Result> {
  const { layers, onPart, signal, calibration } = options;
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
    return await use();
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
