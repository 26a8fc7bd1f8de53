/**
 * Which code to choose: granularity, scales and zero points, clip search, observers, outlier selection, and one file
 * per quantization method.
 *
 * @module
 */
export * from "./absmax_quantizer.ts";
export * from "./activations.ts";
export * from "./adam.ts";
export * from "./amplify_channels.ts";
export * from "./awq.ts";
export * from "./binary_coding.ts";
export * from "./cayley.ts";
export * from "./cholesky.ts";
export * from "./clip_rule.ts";
export * from "./column_split.ts";
export * from "./decomposer.ts";
export * from "./decoder_weights.ts";
export * from "./dgq.ts";
export * from "./double_quantize.ts";
export * from "./error_metrics.ts";
export * from "./fmpq.ts";
export * from "./fold.ts";
export * from "./fold_decoder.ts";
export * from "./fold_norm.ts";
export * from "./format_grid.ts";
export * from "./format_schemes.ts";
export * from "./fptq.ts";
export * from "./gptq.ts";
export * from "./gptqt.ts";
export * from "./granularity.ts";
export * from "./grid.ts";
export * from "./hadamard.ts";
export * from "./hadamard_matrix.ts";
export * from "./hessian.ts";
export * from "./hqq.ts";
export * from "./integer_grid.ts";
export * from "./kmeans.ts";
export * from "./kurtosis.ts";
export * from "./kv_cache.ts";
export * from "./learned_clip.ts";
export * from "./learned_clip_activations.ts";
export * from "./learned_equivalence.ts";
export * from "./learned_range.ts";
export * from "./level_grid.ts";
export * from "./linear_terms.ts";
export * from "./llm_int8.ts";
export * from "./loftq.ts";
export * from "./low_rank.ts";
export * from "./low_rank_methods.ts";
export * from "./lsq_rounder.ts";
export * from "./mapping.ts";
export * from "./matrix.ts";
export * from "./matrix64.ts";
export * from "./method.ts";
export * from "./methods.ts";
export * from "./min_max_groups.ts";
export * from "./observers.ts";
export * from "./outliers.ts";
export * from "./pair_scales.ts";
export * from "./presets_formats.ts";
export * from "./presets_low_rank.ts";
export * from "./presets_mixed.ts";
export * from "./presets_rotation.ts";
export * from "./presets_rounding.ts";
export * from "./presets_training.ts";
export * from "./presets_weight_activation.ts";
export * from "./presets_weight_only.ts";
export * from "./qlora.ts";
export * from "./qparams.ts";
export * from "./qr.ts";
export * from "./quantize.ts";
export * from "./quik.ts";
export * from "./random.ts";
export * from "./recipe.ts";
export * from "./rotate_decoder.ts";
export * from "./rotation.ts";
export * from "./rotation_finders.ts";
export * from "./rounders.ts";
export * from "./smooth.ts";
export * from "./sparse_pairs.ts";
export * from "./sparse_split.ts";
export * from "./spinquant.ts";
export * from "./step_quantizer.ts";
export * from "./svd.ts";
export * from "./svdquant.ts";
export * from "./transform.ts";
export * from "./w4ax_product.ts";
export {
  absorbActivationNoise,
  type AbsorbNoiseOptions,
  activationNoise,
  type ActivationNoiseOptions,
  type NoiseAwareLayer,
} from "./activation_noise.ts";
