// Takes a device from a WebGPU implementation with everything it offers: without asking, a device has the small
// limits that the standard guarantees.

/** Features that some kernel variant can use. */
const WANTED_FEATURES = [
  "shader-f16",
  "timestamp-query",
  "subgroups",
  "chromium-experimental-subgroup-matrix",
];

const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxStorageBuffersPerShaderStage",
] as const;

/** What the adapters of our devices said of themselves, which with Dawn is more than their devices say. */
const ADAPTER_INFO = new WeakMap<GPUDevice, GPUAdapterInfo>();

/** What is known of the adapter of a device. */
export function adapterInfoOf(device: GPUDevice): GPUAdapterInfo | undefined {
  return ADAPTER_INFO.get(device) ?? device.adapterInfo;
}

/**
 * Asks an adapter for a device with the adapter's own limits and every optional feature that kernels can use.
 *
 * @param adapter The adapter.
 * @returns The device.
 */
export async function requestFullDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredLimits = Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]]));
  const listed = WANTED_FEATURES.filter((name) => adapter.features.has(name as GPUFeatureName));
  const request = async (features: readonly string[]): Promise<GPUDevice> => {
    const device = await adapter.requestDevice({
      requiredFeatures: features as GPUFeatureName[],
      requiredLimits,
    });
    ADAPTER_INFO.set(device, adapter.info);
    return device;
  };
  if (listed.includes("subgroups")) return await request(listed);
  // Deno's implementation grants subgroups without listing them, so asking is the only way to know.
  try {
    return await request([...listed, "subgroups"]);
  } catch {
    return await request(listed);
  }
}

/**
 * The device of the platform's own WebGPU.
 *
 * @returns The device.
 * @throws {TypeError} If the platform has no WebGPU or no adapter answers.
 */
export async function requestPlatformDevice(): Promise<GPUDevice> {
  const gpu = globalThis.navigator?.gpu;
  if (gpu === undefined) throw new TypeError("Cannot create a WebGPU backend: this platform has no WebGPU");
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw new TypeError("Cannot create a WebGPU backend: no WebGPU adapter answers");
  return await requestFullDevice(adapter);
}
