// A way to quantize a whole model, as comparisons run it: its linear layers, its cache, or both.
import { type LinearMethod, methods } from "../quant/mod.ts";
import { type CacheTransform, quantizedCache } from "./cache_transform.ts";
import type { Model } from "./model.ts";
import { quantizeModel } from "./quantize_model.ts";

/** What a {@linkcode ModelMethod.whole} may use. */
export interface WholeModelOptions {
  /** Token ids of each calibration window. */
  readonly windows: readonly Uint32Array<ArrayBuffer>[];
  /** Called as the work goes on. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the work. */
  readonly signal?: AbortSignal;
}

/** A way to quantize a whole model. One without any of the optional parts is the model as it is. */
export interface ModelMethod {
  /** The name by which `quik compare --methods` knows it. */
  readonly name: string;
  /** Quantizes each linear layer by itself, from what calibration of the float model saw there. */
  readonly linear?: LinearMethod;
  /** Quantizes all linear layers in place instead, as it likes: such as one after the other, each calibrated behind its
   * quantized predecessors. */
  readonly whole?: (model: Model, options: WholeModelOptions) => Promise<void>;
  /** What happens to keys and values before they are cached. */
  readonly cache?: CacheTransform;
  /** Bits of a weight's code, for tables. Default 16: float. */
  readonly weightBits?: number;
  /** Bits of an activation's code, for tables. Default 16: float. */
  readonly activationBits?: number;
  /** Bits of a cached number, for tables. Default 16: float. */
  readonly cacheBits?: number;
}

/** A linear method for every layer of a model, with the cache in float. */
export function layerwise(linear: LinearMethod): ModelMethod {
  const { name, weightBits, activationBits } = linear;
  return { name, linear, weightBits, activationBits };
}

/** A method with its cache quantized KIVI's way as well; `name` gets the suffix `-kv4`. */
export function withQuantizedCache(method: ModelMethod, bits: number): ModelMethod {
  return { ...method, name: `${method.name}-kv${bits}`, cache: quantizedCache({ bits }), cacheBits: bits };
}

/** The model as it is. */
const float: ModelMethod = { name: "float" };

/** QUIK as published: every layer calibrated behind quantized ones, and the integer kernels that run it. */
const sequentialQuik: ModelMethod = {
  name: "quik-sequential",
  weightBits: 4,
  activationBits: 4,
  whole: quantizeModel,
};

/** Linear methods that are compared with a quantized cache as well, and the cache's bits. */
const CACHED: readonly (readonly [method: string, bits: number])[] = [["fmpq-w4ax", 4], ["quarot-w4a4", 4]];

/**
 * Every method that the library can compare: the float model, all linear methods, QUIK with sequential calibration,
 * KIVI's cache alone at 8, 4 and 2 bits, and systems that quantize weights, activations and cache.
 */
export const modelMethods: readonly ModelMethod[] = [
  float,
  ...Object.values(methods).map(layerwise),
  sequentialQuik,
  ...[8, 4, 2].map((bits) => withQuantizedCache({ ...float, name: "kivi" }, bits)),
  ...CACHED.filter(([name]) => Object.hasOwn(methods, name)).map(([name, bits]) =>
    withQuantizedCache(layerwise(methods[name]), bits)
  ),
];
