/**
 * Which code to choose: granularity, scales and zero points, clip search, observers, outlier selection, and one file
 * per quantization method.
 *
 * @module
 */
export * from "./cholesky.ts";
export * from "./gptq.ts";
export * from "./grid.ts";
export * from "./hessian.ts";
export * from "./integer_grid.ts";
export * from "./outliers.ts";
export * from "./quik.ts";
export { type Adam, type AdamOptions, createAdam } from "./adam.ts";
export { hadamard, type HadamardOptions, type HadamardRotation, walshHadamard } from "./hadamard.ts";
export { hadamardMatrix } from "./hadamard_matrix.ts";
export { kurtosis, kurtosisPenalty, type KurtosisPenaltyOptions, type Penalty } from "./kurtosis.ts";
export {
  fakeQuantizeKeys,
  fakeQuantizeValues,
  KvCache,
  type KvCacheOptions,
  type KvHeads,
  type KvQuantizeOptions,
} from "./kv_cache.ts";
export {
  type ClipGradients,
  type ClipRange,
  fakeQuantizeClipped,
  fakeQuantizeClippedBackward,
} from "./learned_clip.ts";
export { createMatrix, type Matrix } from "./matrix.ts";
export {
  add64,
  createMatrix64,
  identity64,
  type Matrix64,
  multiply64,
  multiplyTransposed64,
  squaredNorm64,
  subtract64,
  toMatrix,
  toMatrix64,
  transpose64,
} from "./matrix64.ts";
export type { LayerCalibration, LinearLayer, LinearMethod, QuantizedLinear } from "./method.ts";
export {
  dequantizeMinMaxGroups,
  type MinMaxGroups,
  type MinMaxGroupsOptions,
  quantizeMinMaxGroups,
} from "./min_max_groups.ts";
export { qr, type QrResult, randomOrthogonal } from "./qr.ts";
export { createRandom, type Random } from "./random.ts";
export { blockRotation, composeRotations, denseRotation, rotateOutputs, type Rotation } from "./rotation.ts";
export {
  fakeQuantizeStep,
  fakeQuantizeStepBackward,
  initialStep,
  type StepGradients,
  stepGradientScale,
  type StepGrid,
} from "./step_quantizer.ts";
export { svd, type SvdResult, truncatedSvd, type TruncatedSvdOptions } from "./svd.ts";
