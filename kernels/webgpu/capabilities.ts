// What a device can do, as plain data: everything a shader generator may ask before it chooses how to compute.

import { adapterInfoOf } from "./device.ts";

/** One shape of matrix product that the subgroup-matrix units of a device offer. */
export interface SubgroupMatrixConfiguration {
  /** Type of the operands, in the spelling of WGSL: `f32`, `f16`, `u8` or `i8`. */
  readonly componentType: string;
  /** Type of the accumulator, in the spelling of WGSL: `f32`, `f16`, `u32` or `i32`. */
  readonly resultComponentType: string;
  /** Rows of the left operand and of the result. */
  readonly M: number;
  /** Columns of the right operand and of the result. */
  readonly N: number;
  /** Reduction length. */
  readonly K: number;
}

/**
 * Whether a shader may use subgroup operations: not at all, without any directive (Deno's own implementation), or after
 * `enable subgroups;` (Dawn and browsers).
 */
export type SubgroupSupport = "none" | "implicit" | "enable";

/** What a `GPUDevice` can do. */
export interface WebGpuCapabilities {
  /** `vendor`, `architecture` and `description` of the adapter, joined: the key of a tuning table. */
  readonly adapter: string;
  /** Whether the adapter is a software one. */
  readonly software: boolean;
  /** Whether `enable f16;` is accepted. */
  readonly float16: boolean;
  /** Whether and how subgroup operations are spelled. */
  readonly subgroups: SubgroupSupport;
  /** Smallest subgroup the device runs, 0 when unknown. */
  readonly subgroupMinSize: number;
  /** Largest subgroup the device runs, 0 when unknown. */
  readonly subgroupMaxSize: number;
  /** Subgroup-matrix shapes, empty when the feature is not enabled on the device. */
  readonly subgroupMatrices: readonly SubgroupMatrixConfiguration[];
  /** Whether timestamp queries can be written. */
  readonly timestamps: boolean;
  /** Limits of the device that shader generators look at. */
  readonly limits: WebGpuLimits;
}

/** The limits of a device that decide between variants. */
export interface WebGpuLimits {
  /** Largest buffer, bytes. */
  readonly maxBufferSize: number;
  /** Largest part of a buffer that a shader sees, bytes. */
  readonly maxStorageBufferBindingSize: number;
  /** Workgroup memory, bytes. */
  readonly maxComputeWorkgroupStorageSize: number;
  /** Invocations of a workgroup. */
  readonly maxComputeInvocationsPerWorkgroup: number;
  /** Workgroups along one dimension of a dispatch. */
  readonly maxComputeWorkgroupsPerDimension: number;
  /** Storage buffers that one shader may bind. */
  readonly maxStorageBuffersPerShaderStage: number;
}

/** `adapterInfo` with the member that only Dawn has. */
interface AdapterInfo {
  readonly vendor?: string;
  readonly architecture?: string;
  readonly description?: string;
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
  readonly isFallbackAdapter?: boolean;
  readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfiguration>;
}

/**
 * Reads what a device can do. How subgroup operations are spelled is found by compiling two one-line shaders, because
 * implementations differ and none says so.
 *
 * @param device The device.
 * @returns Its capabilities.
 */
export async function readCapabilities(device: GPUDevice): Promise<WebGpuCapabilities> {
  const info: AdapterInfo = adapterInfoOf(device) ?? {};
  const { limits } = device;
  const matrices = hasFeature(device, "chromium-experimental-subgroup-matrix")
    ? [...info.subgroupMatrixConfigs ?? []].map(({ componentType, resultComponentType, M, N, K }) => ({
      componentType,
      resultComponentType,
      M,
      N,
      K,
    }))
    : [];
  return {
    adapter: [info.vendor, info.architecture, info.description].filter((part) => part).join(" ") ||
      "unknown adapter",
    software: info.isFallbackAdapter ?? false,
    float16: hasFeature(device, "shader-f16"),
    subgroups: hasFeature(device, "subgroups") ? await probeSubgroups(device) : "none",
    subgroupMinSize: info.subgroupMinSize ?? 0,
    subgroupMaxSize: info.subgroupMaxSize ?? 0,
    subgroupMatrices: matrices,
    timestamps: hasFeature(device, "timestamp-query"),
    limits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
    },
  };
}

/**
 * The `enable` directives that a shader using subgroup operations needs on this device.
 *
 * @param capabilities What the device can do.
 * @returns `["subgroups"]`, or nothing where the operations need no directive.
 */
export function subgroupEnables(capabilities: WebGpuCapabilities): readonly string[] {
  return capabilities.subgroups === "enable" ? ["subgroups"] : [];
}

function hasFeature(device: GPUDevice, name: string): boolean {
  return device.features.has(name as GPUFeatureName);
}

async function probeSubgroups(device: GPUDevice): Promise<SubgroupSupport> {
  const shader = "@compute @workgroup_size(32) fn main() { let sum = subgroupAdd(1.0); }";
  if (await compiles(device, `enable subgroups;\n${shader}`)) return "enable";
  return await compiles(device, shader) ? "implicit" : "none";
}

async function compiles(device: GPUDevice, code: string): Promise<boolean> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code });
  device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  return await device.popErrorScope() === null;
}
