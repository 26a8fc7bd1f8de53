// Choosing and loading the compiled kernels: the relaxed-SIMD build where the engine takes it, over shared memory
// where the engine has it.
import { PLAIN, RELAXED } from "./_bytes.ts";
import { MAX_PAGES } from "./_heap.ts";

/** A function of the kernels module. */
export type KernelFunction = (...args: number[]) => number;

/** What a thread needs to make its own instance of the kernels. */
export interface KernelModule {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Whether threads can share the memory. */
  readonly shared: boolean;
  /** Whether it is the relaxed-SIMD build. */
  readonly relaxed: boolean;
}

/** How to load the kernels. */
export interface LoadOptions {
  /** Whether threads share the memory; false also where `SharedArrayBuffer` is missing. */
  readonly shared: boolean;
  /** Whether to use relaxed SIMD where the engine has it. */
  readonly relaxed: boolean;
}

/** Compiles the kernels and makes their memory.
 * @throws {TypeError} If the engine lacks WebAssembly SIMD. */
export async function loadModule(options: LoadOptions): Promise<KernelModule> {
  const shared = options.shared && typeof SharedArrayBuffer === "function";
  const decode = (base64: string) =>
    withMemory(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), shared);
  let bytes = decode(options.relaxed ? RELAXED : PLAIN);
  const relaxed = options.relaxed && WebAssembly.validate(bytes);
  if (options.relaxed && !relaxed) bytes = decode(PLAIN);
  if (!WebAssembly.validate(bytes)) {
    throw new TypeError("Cannot create the wasm backend: this engine has no WebAssembly SIMD");
  }
  const module = await WebAssembly.compile(bytes);
  const memory = new WebAssembly.Memory({ initial: 2, maximum: MAX_PAGES, shared });
  return { module, memory, shared, relaxed };
}

/** Makes an instance of the kernels on this thread. */
export async function instantiate({ module, memory }: KernelModule): Promise<Record<string, KernelFunction>> {
  const instance = await WebAssembly.instantiate(module, { env: { memory } });
  return instance.exports as Record<string, KernelFunction>;
}

/** The kernels are compiled for shared memory; one flag of the memory import says so. */
function withMemory(bytes: Uint8Array<ArrayBuffer>, shared: boolean): Uint8Array<ArrayBuffer> {
  if (shared) return bytes;
  // The import's name, its kind (2: memory) and its limits (3: shared with a maximum).
  const pattern = [..."\x03env\x06memory\x02\x03"].map((c) => c.charCodeAt(0));
  const at = bytes.findIndex((_, i) => pattern.every((byte, j) => bytes[i + j] === byte));
  bytes[at + pattern.length - 1] = 1;
  return bytes;
}
