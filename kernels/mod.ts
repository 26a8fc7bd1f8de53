/**
 * How it is computed: the backend contract, the ops as plain data, and the backends that run them.
 *
 * @module
 */
export type { Backend, BackendLimits, DeviceBuffer, Kernel, ReadOptions } from "./backend.ts";
export * from "./specs.ts";
export type { BufferRole, KernelSignature } from "./_roles.ts";
export { checkBuffers, kernelSignature, specKey, unsupported } from "./signature.ts";
export {
  createWebGpuBackend,
  type VariantChooser,
  WebGpuBackend,
  type WebGpuBackendOptions,
  type WebGpuKernel,
} from "./webgpu/backend.ts";
export type {
  SubgroupMatrixConfiguration,
  SubgroupSupport,
  WebGpuCapabilities,
  WebGpuLimits,
} from "./webgpu/capabilities.ts";
export { requestFullDevice } from "./webgpu/device.ts";
export {
  type Binding,
  type BindingSource,
  type ComputePass,
  type KernelProgram,
  type KernelVariant,
  type Workgroups,
} from "./webgpu/program.ts";
export { variantsFor } from "./webgpu/registry.ts";
export { type SplitWeight, splitWeightOutliers } from "./weight_outliers.ts";
export { type AutotunerOptions, createAutotuner, tuningKey, type TuningTable } from "./webgpu/autotuner.ts";
export { GpuTimer, type Launch, type TimedStep, type TimeOptions, type Timing } from "./webgpu/timer.ts";
export { createWasmBackend, type WasmBackendOptions } from "./wasm/backend.ts";
export { createReferenceBackend } from "./reference/backend.ts";
export { BACKEND_CHOICES, type BackendChoice, chooseBackend, type ChosenBackend } from "./choose_backend.ts";
export type { ReadyPass } from "./webgpu/_pipelines.ts";
