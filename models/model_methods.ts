// Every way to quantize a whole model that comparisons know.
import { methods } from "../quant/mod.ts";
import { layerwise, type ModelMethod, withQuantizedCache } from "./model_method.ts";
import { quantizeModel } from "./quantize_model.ts";
import { omniquantModelMethods } from "./omniquant_methods.ts";
import { rotationModelMethods } from "./rotation_methods.ts";

/** The model as it is. */
const float: ModelMethod = { name: "float" };

/** QUIK as published: every layer calibrated behind quantized ones, and the integer kernels that run it. */
const sequentialQuik: ModelMethod = {
  name: "quik-sequential",
  weightBits: 4,
  activationBits: 4,
  whole: quantizeModel,
};

/** Methods that do more to a model than to each of its layers, in place of the linear methods of their names. */
const wholeMethods = [...rotationModelMethods, ...omniquantModelMethods];
const linearMethods = Object.values(methods).map((method) =>
  wholeMethods.find(({ name }) => name === method.name) ?? layerwise(method)
);

/**
 * Every method that the library can compare: the float model, all linear methods, QuaRot, SpinQuant and OmniQuant by
 * rewriting the model, QUIK with sequential calibration, KIVI's cache alone at 8, 4 and 2 bits, and systems that quantize weights,
 * activations and cache.
 */
export const modelMethods: readonly ModelMethod[] = [
  float,
  ...linearMethods,
  sequentialQuik,
  ...[8, 4, 2].map((bits) => withQuantizedCache({ ...float, name: "kivi" }, bits)),
  withQuantizedCache(layerwise(methods["fmpq-w4ax"]), 4),
  ...wholeMethods.filter(({ name }) => !Object.hasOwn(methods, name)),
];
