/**
 * How it is computed: the backend contract, the ops as plain data, and the backends that run them.
 *
 * @module
 */
export type { Backend, BackendLimits, DeviceBuffer, Kernel, ReadOptions } from "./backend.ts";
export * from "./specs.ts";
export {
  type BufferRole,
  checkBuffers,
  type KernelSignature,
  kernelSignature,
  specKey,
  unsupported,
} from "./signature.ts";
