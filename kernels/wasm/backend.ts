// Making the CPU backend: which build of the kernels, and how many threads.
import type { Backend } from "../backend.ts";
import { WasmBackend } from "./_backend.ts";
import { MAX_THREADS } from "./_control.ts";
import { instantiate, loadModule } from "./_module.ts";
import { Pool } from "./_pool.ts";

/** How the wasm backend is made. */
export interface WasmBackendOptions {
  /** Whether to use relaxed SIMD (fused multiply-add, native 8-bit dot products) where the engine has it. Default true. */
  readonly relaxedSimd?: boolean;
  /** Number of threads, the calling one included, at most 64. Default `navigator.hardwareConcurrency`. Without `SharedArrayBuffer`
   * it is one. */
  readonly threads?: number;
}

/**
 * Makes the CPU backend: WebAssembly with 128-bit SIMD, and relaxed SIMD where the engine has it. Buffers live in
 * WebAssembly memory, at most 4 GiB together. Integer results equal the reference backend's exactly.
 *
 * Large products are shared with worker threads, which live until the backend is disposed: a program that does not
 * dispose it does not end by itself.
 *
 * @param options Which instructions and how many threads to use.
 * @returns A backend that supports every spec.
 * @throws {TypeError} If the engine lacks WebAssembly SIMD.
 * @throws {RangeError} If the number of threads is not 1 to 64.
 *
 * @example Usage
 * ```ts
 * import { createWasmBackend } from "@quik/quant/kernels";
 * import { assertEquals } from "@std/assert";
 *
 * using backend = await createWasmBackend();
 * using x = backend.allocate(8);
 * using weight = backend.allocate(16);
 * using y = backend.allocate(8);
 * backend.write(x, Float32Array.of(1, 2));
 * backend.write(weight, Float32Array.of(3, 4, 5, 6));
 * const linear = await backend.prepare({
 *   op: "dense_linear", rows: 1, columns: 2, inner: 2, weightType: "float32", bias: false,
 * });
 * backend.dispatch(linear, [x, weight], [y]);
 * assertEquals(new Float32Array(await backend.read(y)), Float32Array.of(11, 17));
 * ```
 */
export async function createWasmBackend(options: WasmBackendOptions = {}): Promise<Backend> {
  const { relaxedSimd = true, threads = Math.min(navigator.hardwareConcurrency, MAX_THREADS) } = options;
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw new RangeError(`Cannot use ${threads} threads: the number must be 1 to ${MAX_THREADS}`);
  }
  const module = await loadModule({ shared: threads > 1, relaxed: relaxedSimd });
  const exports = await instantiate(module);
  return new WasmBackend(module, exports, await Pool.start(module, { exports, threads }));
}
