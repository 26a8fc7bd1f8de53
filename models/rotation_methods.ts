// QuaRot and SpinQuant as whole models are compared by them: rotate the model, then quantize its layers.
import { rotatedLayerMethods } from "../quant/mod.ts";
import { headwiseCache } from "./cache_transform.ts";
import { layerwise, type ModelMethod, type ModelRewrite } from "./model_method.ts";
import { rotateModel } from "./rotate_model.ts";

/** QuaRot's rotations, which calibration has no part in. */
const quarot: ModelRewrite = async (model) => ({ model: await rotateModel(model) });

const methods: readonly ModelMethod[] = rotatedLayerMethods.map((linear) => ({
  ...layerwise(linear),
  rewrite: quarot,
}));

/** QuaRot with its cache: per token and head, asymmetric, clipped. */
const cached: ModelMethod = {
  ...methods[0],
  name: `${methods[0].name}-kv4`,
  cache: headwiseCache({ bits: 4, clipRatio: 0.95 }),
  cacheBits: 4,
};

/** QuaRot (arXiv 2404.00456) and SpinQuant (arXiv 2405.16406) on whole models. */
export const rotationModelMethods: readonly ModelMethod[] = [...methods, cached];
