// Choosing a backend by name, once and aloud: the only place where `auto` means something.
import type { Backend } from "./backend.ts";

/** What a caller may ask for. */
export type BackendChoice = "auto" | "webgpu" | "wasm" | "reference";

/** A backend and why it was taken. */
export interface ChosenBackend {
  /** The caller's to dispose. */
  readonly backend: Backend;
  /** One line for a person, such as `webgpu (NVIDIA H100): a hardware adapter answered`. */
  readonly reason: string;
}

/** Every name that {@linkcode chooseBackend} takes. */
export const BACKEND_CHOICES: readonly BackendChoice[] = ["auto", "webgpu", "wasm", "reference"];

/**
 * Makes the backend of a name. `auto` takes WebGPU where a hardware adapter answers and WebAssembly elsewhere;
 * software adapters are slower than WebAssembly. A backend that was named is taken or the call throws: nothing else is
 * tried in its place.
 *
 * @param choice Which one.
 * @returns The backend and the reason for it.
 * @throws {TypeError} If the backend is unknown or cannot run here.
 *
 * @example Usage
 * ```ts
 * import { chooseBackend } from "@quik/quant/kernels";
 * import { assertEquals } from "@std/assert";
 *
 * const { backend, reason } = await chooseBackend("reference");
 * assertEquals(reason, "reference (plain TypeScript, one thread): asked for");
 * backend.dispose();
 * ```
 */
export async function chooseBackend(choice: BackendChoice = "auto"): Promise<ChosenBackend> {
  if (!BACKEND_CHOICES.includes(choice)) {
    throw new TypeError(
      `Cannot choose the backend "${choice}": it must be one of ${BACKEND_CHOICES.join(", ")}`,
    );
  }
  if (choice !== "auto") return explain(await create(choice), "asked for");
  const absence = await hardwareAbsence();
  if (absence === undefined) return explain(await create("webgpu"), "a hardware adapter answered");
  return explain(await create("wasm"), absence);
}

function explain(backend: Backend, why: string): ChosenBackend {
  return { backend, reason: `${backend.name} (${backend.description}): ${why}` };
}

/** Imports only the backend that is wanted. */
async function create(choice: Exclude<BackendChoice, "auto">): Promise<Backend> {
  switch (choice) {
    case "webgpu":
      return (await import("./webgpu/backend.ts")).createWebGpuBackend();
    case "wasm":
      return (await import("./wasm/backend.ts")).createWasmBackend();
    case "reference":
      return (await import("./reference/backend.ts")).createReferenceBackend();
  }
}

/** Why there is no hardware GPU here, or undefined if there is one. */
async function hardwareAbsence(): Promise<string | undefined> {
  const gpu = globalThis.navigator?.gpu;
  if (gpu === undefined) return "this platform has no WebGPU";
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) return "no WebGPU adapter answers";
  const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
  const label = `${vendor} ${architecture} ${description}`;
  if (isFallbackAdapter || /llvmpipe|swiftshader|software|microsoft basic/i.test(label)) {
    return `the only WebGPU adapter is software (${description || vendor})`;
  }
  return undefined;
}
