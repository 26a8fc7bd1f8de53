/**
 * Models: checkpoints as decoders on a backend, their tokenizers, perplexity and generation.
 *
 * @module
 */
export { parseModelConfig } from "./architecture.ts";
export type { Decoder } from "./decoder.ts";
export type { AttentionLayers } from "./attention.ts";
export { type Arrangement, type BlockParts, DecoderBlock } from "./block.ts";
export type { PassContext } from "./pass_context.ts";
export type { ModelConfig, ModelType } from "./config.ts";
export type { FeedForwardLayers } from "./feed_forward.ts";
export { generate, type GeneratedToken, type GenerateOptions } from "./generate.ts";
export { drain, LinearSlot, type LinearStage, type StagedForward } from "./linear_slot.ts";
export { loadModel, type LoadModelOptions } from "./load_model.ts";
export {
  type DeviceTokens,
  Model,
  ModelCache,
  type ModelParts,
  type Pass,
  type PassOptions,
  type TokenIds,
} from "./model.ts";
export {
  perplexity,
  type PerplexityOptions,
  type PerplexityProgress,
  type PerplexityResult,
} from "./perplexity.ts";
export { type LinearScaling, type Llama3Scaling, type RopeConfig, ropeFrequencies } from "./rope.ts";
export type { BlockTransforms, OnlineTransform } from "./online_transform.ts";
export { decoderWeights } from "./decoder_weights.ts";
export { rewriteModel, type RewriteModelOptions } from "./rewrite_model.ts";
export { rotationModelMethods } from "./rotation_methods.ts";
export { omniquantModelMethods } from "./omniquant_methods.ts";
export { type PairChoice, type PairSearch, searchPairs, type SearchPairsOptions } from "./search_pairs.ts";
export { learnRotations, type LearnRotationsOptions } from "./learn_rotations.ts";
export { type ModelRotations, rotateModel, type RotateModelOptions } from "./rotate_model.ts";
export { calibrate, type CalibratedStage, type CalibrateOptions } from "./calibrate.ts";
export { quantizeModel, type QuantizeModelOptions } from "./quantize_model.ts";
export { saveModel, type SaveModelOptions } from "./save_model.ts";
export { argmax, createSampler, type Sampler, type SamplerOptions } from "./sampler.ts";
export { loadTokenizer, type Tokenizer } from "./tokenizer.ts";
export { type CalibrationWindowOptions, calibrationWindows } from "./calibration_windows.ts";
export { averageBitsPerWeight } from "./average_bits.ts";
export { type CacheTransform, headwiseCache, quantizedCache } from "./cache_transform.ts";
export { activationMaxima, type ActivationMaximaOptions } from "./activation_maxima.ts";
export { modelMethods } from "./model_methods.ts";
export {
  layerwise,
  type ModelMethod,
  type ModelRewrite,
  type RewrittenModel,
  type WholeModelOptions,
  withQuantizedCache,
} from "./model_method.ts";
export { type ObservedLayer, observeLayers } from "./observe_layers.ts";
export { compareMethods, type CompareOptions, type ComparisonProgress } from "./compare.ts";
export {
  type ComparisonRow,
  type FailedMethod,
  type LayerError,
  type MeasuredMethod,
} from "./comparison_row.ts";
export { type MeasureOptions, MethodBench, type MethodBenchOptions } from "./method_bench.ts";
export { amplifyCheckpoint, type AmplifyCheckpointOptions } from "./amplify_checkpoint.ts";
