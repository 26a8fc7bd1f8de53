// What devices can do that need not be here, for what is decided or written without running it.
import type { WebGpuCapabilities } from "../../kernels/mod.ts";

/** What the standard guarantees. */
export const DEFAULT_DEVICE: WebGpuCapabilities = {
  adapter: "defaults",
  software: false,
  float16: false,
  subgroups: "none",
  subgroupMinSize: 0,
  subgroupMaxSize: 0,
  subgroupMatrices: [],
  timestamps: false,
  limits: {
    maxBufferSize: 268435456,
    maxStorageBufferBindingSize: 134217728,
    maxComputeWorkgroupStorageSize: 16384,
    maxComputeInvocationsPerWorkgroup: 256,
    maxComputeWorkgroupsPerDimension: 65535,
    maxStorageBuffersPerShaderStage: 8,
  },
};

/** A GPU with matrix units and the limits of an NVIDIA H100 on Dawn. */
export const MATRIX_DEVICE: WebGpuCapabilities = {
  adapter: "matrix units",
  software: false,
  float16: true,
  subgroups: "enable",
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
  subgroupMatrices: [
    { componentType: "i8", resultComponentType: "i32", M: 16, N: 16, K: 32 },
    { componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 },
  ],
  timestamps: true,
  limits: {
    maxBufferSize: 2 ** 32,
    maxStorageBufferBindingSize: 2 ** 31,
    maxComputeWorkgroupStorageSize: 49152,
    maxComputeInvocationsPerWorkgroup: 1024,
    maxComputeWorkgroupsPerDimension: 65535,
    maxStorageBuffersPerShaderStage: 16,
  },
};
