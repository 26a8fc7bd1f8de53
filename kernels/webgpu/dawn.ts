/**
 * A WebGPU device of Dawn, the implementation inside Chrome, as the optional npm package `webgpu` brings it to Deno and
 * Node. It is the way to the matrix units, which Deno's own WebGPU does not reach.
 *
 * @module
 */
import { paceTicks } from "./_dawn_ticks.ts";
import { requestFullDevice } from "./device.ts";

/** Options for `createDawnDevice`. */
export interface DawnOptions {
  /**
   * Leaves Dawn's bounds checks in the shaders. The library's own kernels stay inside their buffers (its tests run with
   * the checks on and off), and the checks cost half of the matrix products' speed. Default false.
   */
  readonly boundsChecks?: boolean;
  /** Name of the module to load. Default `npm:webgpu@0.6.2` in Deno, `webgpu` elsewhere. */
  readonly module?: string;
}

interface DawnModule {
  create(flags: string[]): GPU;
  readonly globals: Record<string, unknown>;
}

/** What `create` returns must outlive the device: collected too early, it takes the process down with it. */
const ALIVE: unknown[] = [];

/**
 * Creates a device of Dawn with every feature that the kernels can use: f16, subgroups, subgroup matrices, and
 * timestamps without rounding. Pass it to `createWebGpuBackend`.
 *
 * @param options Bounds checks, and where the module lies.
 * @returns The device.
 * @throws {TypeError} If the module cannot be loaded or no adapter answers.
 */
export async function createDawnDevice(options: DawnOptions = {}): Promise<GPUDevice> {
  const { create, globals } = await loadDawn(options.module ?? defaultModule());
  paceTicks(globals);
  for (const [name, value] of Object.entries(globals)) {
    if (!(name in globalThis)) Object.assign(globalThis, { [name]: value });
  }
  const enabled = ["allow_unsafe_apis", "vulkan_enable_f16_on_nvidia", "use_vulkan_memory_model"];
  if (!options.boundsChecks) enabled.push("disable_robustness", "disable_workgroup_init");
  const gpu = create([
    `enable-dawn-features=${enabled.join(",")}`,
    "disable-dawn-features=timestamp_quantization",
  ]);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw new TypeError("Cannot create a Dawn device: no adapter answers");
  const device = await requestFullDevice(adapter);
  ALIVE.push(gpu, adapter, device);
  return device;
}

function defaultModule(): string {
  return "Deno" in globalThis ? "npm:webgpu@0.6.2" : "webgpu";
}

async function loadDawn(module: string): Promise<DawnModule> {
  try {
    return await import(module);
  } catch (cause) {
    throw new TypeError(`Cannot create a Dawn device: "${module}" cannot be loaded`, { cause });
  }
}
