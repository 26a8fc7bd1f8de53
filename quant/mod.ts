/**
 * Which code to choose: granularity, scales and zero points, clip search, observers, outlier selection, and one file
 * per quantization method.
 *
 * @module
 */
export * from "./absmax_quantizer.ts";
export * from "./activations.ts";
export * from "./adam.ts";
export * from "./cayley.ts";
export * from "./cholesky.ts";
export * from "./clip_rule.ts";
export * from "./double_quantize.ts";
export * from "./fmpq.ts";
export * from "./fold_norm.ts";
export * from "./format_grid.ts";
export * from "./format_schemes.ts";
export * from "./gptq.ts";
export * from "./granularity.ts";
export * from "./grid.ts";
export * from "./hadamard.ts";
export * from "./hadamard_matrix.ts";
export * from "./hessian.ts";
export * from "./integer_grid.ts";
export * from "./kurtosis.ts";
export * from "./kv_cache.ts";
export * from "./learned_clip.ts";
export * from "./linear_terms.ts";
export * from "./loftq.ts";
export * from "./low_rank.ts";
export * from "./mapping.ts";
export * from "./matrix.ts";
export * from "./matrix64.ts";
export * from "./method.ts";
export * from "./methods.ts";
export * from "./min_max_groups.ts";
export * from "./outliers.ts";
export * from "./presets_rounding.ts";
export * from "./qlora.ts";
export * from "./qparams.ts";
export * from "./qr.ts";
export * from "./quantize.ts";
export * from "./quik.ts";
export * from "./random.ts";
export * from "./recipe.ts";
export * from "./rotate_model.ts";
export * from "./rotation.ts";
export * from "./rounders.ts";
export * from "./spinquant.ts";
export * from "./step_quantizer.ts";
export * from "./svd.ts";
export * from "./svdquant.ts";
export * from "./transform.ts";
export * from "./w4ax_product.ts";
