// A way to quantize a whole model, as comparisons run it: its linear layers, its cache, or both.
import type { LinearMethod } from "../quant/mod.ts";
import { type CacheTransform, quantizedCache } from "./cache_transform.ts";
import type { Model } from "./model.ts";

/** What a {@linkcode ModelMethod.whole} may use. */
export interface WholeModelOptions {
  /** Token ids of each calibration window. */
  readonly windows: readonly Uint32Array<ArrayBuffer>[];
  /** Called as the work goes on. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the work. */
  readonly signal?: AbortSignal;
}

/** A model that computes what another does. Its layers have the same names. */
export interface RewrittenModel {
  /** The model; whoever asked for it disposes of it. */
  readonly model: Model;
  /**
   * By what the output of a layer was divided, `[outputs]`, by the layer's name: so that outputs can be compared as those
   * of the first model. Absent where layers give what they did, or an orthogonal rotation of it, which has the same norms.
   */
  readonly outputScales?: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
}

/** Makes an equivalent model. Must not change its argument. */
export type ModelRewrite = (model: Model, options: WholeModelOptions) => Promise<RewrittenModel>;

/** A way to quantize a whole model. One without any of the optional parts is the model as it is. */
export interface ModelMethod {
  /** The name by which `quik compare --methods` knows it. */
  readonly name: string;
  /** Puts an equivalent model in the place of the float one: the rest of the method quantizes that. */
  readonly rewrite?: ModelRewrite;
  /** Quantizes each linear layer by itself, from what calibration of the (rewritten) float model saw there. */
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
