// QuaRot and SpinQuant as whole models are compared by them: rotate the model, then quantize its layers.
import { rotatedLayerMethods } from "../quant/mod.ts";
import { headwiseCache } from "./cache_transform.ts";
import { layerwise, type ModelMethod, type ModelRewrite } from "./model_method.ts";
import { learnRotations } from "./learn_rotations.ts";
import { foldedWeights, rotateFolded, rotateModel } from "./rotate_model.ts";

/** QuaRot's rotations, which calibration has no part in. */
const quarot: ModelRewrite = async (model) => ({ model: await rotateModel(model) });

/** SpinQuant's, learned on a few of the calibration windows. */
const spinquant: ModelRewrite = async (model, { windows, onProgress, signal }) => {
  const folded = await foldedWeights(model);
  const few = windows.slice(0, LEARNING_WINDOWS);
  const rotations = await learnRotations(model, folded, { windows: few, onProgress, signal });
  return { model: rotateFolded(model, folded, { rotations }) };
};

const LEARNING_WINDOWS = 8;

const methods: readonly ModelMethod[] = rotatedLayerMethods.map((linear) => ({
  ...layerwise(linear),
  rewrite: linear.name.startsWith("spinquant") ? spinquant : quarot,
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
