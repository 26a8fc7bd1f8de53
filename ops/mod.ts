/**
 * What a program calls: linear layers, norms, rotary embedding and attention on a backend. Ops check shapes and ask
 * the backend; nothing falls back silently.
 *
 * @module
 */
export { activate, activateGated, addInPlace } from "./elementwise.ts";
export { attend, type AttentionOptions, KvCache } from "./attention.ts";
export { CodebookLinear } from "./codebook_linear.ts";
export { DenseLinear } from "./dense_linear.ts";
export { deviceGptq, type DeviceGptqOptions, type DeviceGptqResult } from "./device_gptq.ts";
export { DeviceTensor, runKernel, type StoredMatrix, uploadBytes, uploadStored } from "./tensor.ts";
export { gatherRows } from "./embedding.ts";
export { DeviceHadamard } from "./hadamard.ts";
export { applyLinear, applyLinears, type Linear, type PreparedInput } from "./linear.ts";
export { normalize, type NormWeights } from "./norms.ts";
export { accumulateAbsmax, accumulateGram, argmaxRows, tokenNll } from "./statistics.ts";
export { applyRope, createRopeTable, type RopeTable } from "./rope.ts";
export { deviceQuikWeights } from "./device_quik_weights.ts";
export { deviceTruncatedSvd } from "./device_svd.ts";
export { DeviceQuikLinear, quikBitsPerWeight } from "./device_quik_linear.ts";
export { type Batch, type FloatLayer, QuikLinear } from "./quik_linear.ts";
export { TermsLinear, type TermsLinearShape } from "./terms_linear.ts";
