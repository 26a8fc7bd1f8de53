// A quantized key-value cache in a whole model, simulated: what attention reads is what the codes would decode to.
import { fakeQuantizeKeys, fakeQuantizeValues, type KvQuantizeOptions, type Matrix } from "../quant/mod.ts";

/** What keys and values of a pass become before they are cached. Neither function keeps or changes its argument. */
export interface CacheTransform {
  /** Keys `[rows, kvHeads * headSize]`, rotated, of the tokens of one pass. */
  readonly keys: (keys: Matrix, headSize: number) => Matrix;
  /** Values, the same shape. */
  readonly values: (values: Matrix, headSize: number) => Matrix;
}

/**
 * KIVI's cache (arXiv 2402.02750) for evaluating whole windows: keys quantized per channel over groups of tokens, values
 * per token over groups of channels. Groups lie within one pass, so a pass should hold a whole window.
 *
 * @param options Bits, group size (default 32), tokens left exact at the end of each pass (default none).
 * @returns The transform, to be set as `model.cacheTransform`.
 *
 * @example Usage
 * ```ts
 * import { createMatrix } from "@quik/quant/quant";
 * import { quantizedCache } from "@quik/quant/models";
 * import { assertEquals } from "@std/assert";
 *
 * const { keys } = quantizedCache({ bits: 2, groupSize: 4 });
 * const channel = createMatrix(4, 1, Float32Array.of(0, 0.9, 2.2, 3)); // one channel of four tokens
 * assertEquals(keys(channel, 1).data, Float32Array.of(0, 1, 2, 3));
 * ```
 */
export function quantizedCache(options: KvQuantizeOptions): CacheTransform {
  return {
    keys: (keys) => fakeQuantizeKeys(keys, options),
    values: (values) => fakeQuantizeValues(values, options),
  };
}

/**
 * QuaRot's cache (arXiv 2404.00456): keys and values alike quantized per token and head, asymmetric and clipped. What it
 * lacks in groups per channel a rotation of the heads has to make up for.
 *
 * @param options Bits, and how much the range of a head is shrunk.
 * @returns The transform, to be set as `model.cacheTransform`.
 */
export function headwiseCache(options: Pick<KvQuantizeOptions, "bits" | "clipRatio">): CacheTransform {
  const transform = (x: Matrix, headSize: number): Matrix =>
    fakeQuantizeValues(x, { ...options, groupSize: headSize });
  return { keys: transform, values: transform };
}
