// OmniQuant on whole models: pairs of projections scaled against each other, then each layer by itself.
import { type LinearMethod, methods } from "../quant/mod.ts";
import { type CacheTransform, headwiseCache } from "./cache_transform.ts";
import { layerwise, type ModelMethod, type ModelRewrite } from "./model_method.ts";
import { rewriteModel } from "./rewrite_model.ts";
import { searchPairs } from "./search_pairs.ts";

/** How many windows the loss of a block is measured on. */
const SEARCH_WINDOWS = 2;

/** OmniQuant's equivalent pairs, searched for layers that are quantized by `linear` and a cache by `cache`. */
function equivalentPairs(linear: LinearMethod, cache?: CacheTransform): ModelRewrite {
  return async (model, { windows, ...options }) => {
    const few = windows.slice(0, SEARCH_WINDOWS);
    const { weights, outputScales } = await searchPairs(model, { ...options, windows: few, linear, cache });
    return { model: rewriteModel(model, weights), outputScales };
  };
}

const four = layerwise(methods["omniquant-w4a4"]), rounding = methods["rtn-w4a4"];
const cache = headwiseCache({ bits: 4 });

/** OmniQuant (arXiv 2308.13137) on whole models, with weights and activations in 4 bits, and with the cache as well. */
export const omniquantModelMethods: readonly ModelMethod[] = [
  { ...four, rewrite: equivalentPairs(rounding) },
  { ...four, name: `${four.name}-kv4`, rewrite: equivalentPairs(rounding, cache), cache, cacheBits: 4 },
];
