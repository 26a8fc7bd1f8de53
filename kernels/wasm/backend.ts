// The CPU backend at SIMD speed: buffers are pieces of one WebAssembly memory, and kernels run on them in place.
import type { Backend, BackendLimits, DeviceBuffer, Kernel, ReadOptions } from "../backend.ts";
import { checkBuffers, specKey, unsupported } from "../signature.ts";
import type { KernelSpec, OpName } from "../specs.ts";
import type { Context, Region, Work } from "./_context.ts";
import { Heap, MAX_PAGES } from "./_heap.ts";
import { instantiate, type KernelFunction, type KernelModule, loadModule } from "./_module.ts";
import * as linear from "./_ops_linear.ts";
import * as rows from "./_ops_rows.ts";

type OpRun<Spec> = (context: Context, spec: Spec, inputs: Region[], outputs: Region[]) => void;
type OpTable = { readonly [Op in OpName]: OpRun<Extract<KernelSpec, { op: Op }>> };

const ops: OpTable = {
  dense_linear: linear.denseLinear,
  quantize_activations: rows.quantizeActivations,
  integer_matmul: linear.integerMatmul,
  quik_linear: linear.quikLinear,
  gather_rows: rows.gatherRows,
  scatter_rows: rows.scatterRows,
  rms_norm: rows.rmsNorm,
  layer_norm: rows.layerNorm,
  rope: rows.rope,
  attention: rows.attention,
  activation: rows.activation,
  gated_activation: rows.gatedActivation,
  add: rows.add,
  token_nll: rows.tokenNll,
  gram: linear.gram,
  column_absmax: rows.columnAbsmax,
  codebook_linear: linear.codebookLinear,
};

/** How the wasm backend is made. */
export interface WasmBackendOptions {
  /** Whether to use relaxed SIMD (fused multiply-add, native 8-bit dot products) where the engine has it. Default true. */
  readonly relaxedSimd?: boolean;
}

/** Below this address lie the threads' control words and what the compiler keeps. */
const HEAP_START = 65536;

class WasmBuffer implements DeviceBuffer, Region {
  readonly address: number;
  readonly byteLength: number;
  readonly owner: WasmBackend;
  disposed = false;

  constructor(owner: WasmBackend, address: number, byteLength: number) {
    this.owner = owner;
    this.address = address;
    this.byteLength = byteLength;
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.owner.release(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

class WasmBackend implements Backend, Context {
  readonly name = "wasm";
  readonly description: string;
  readonly features: ReadonlySet<string>;
  readonly limits: BackendLimits = { maxBufferBytes: (MAX_PAGES - 1) * 65536 };
  readonly exports: Readonly<Record<string, KernelFunction>>;
  readonly dotTakesBytes: boolean;
  readonly #memory: WebAssembly.Memory;
  readonly #heap: Heap;
  readonly #kernels = new Map<string, Kernel>();
  /** The temporary areas of the running op, as [address, size]. */
  #temporaries: [number, number][] = [];

  constructor(module: KernelModule, exports: Record<string, KernelFunction>) {
    this.#memory = module.memory;
    this.#heap = new Heap(module.memory, HEAP_START);
    this.exports = exports;
    this.dotTakesBytes = exports.dot_takes_bytes(-128, 255) !== 0;
    this.features = new Set(["simd", ...(module.relaxed ? ["relaxed-simd"] : [])]);
    this.description = `WebAssembly ${module.relaxed ? "relaxed SIMD" : "SIMD"}, 1 thread`;
  }

  allocate(byteLength: number): DeviceBuffer {
    if (!Number.isInteger(byteLength) || byteLength < 0 || byteLength > this.limits.maxBufferBytes) {
      throw new RangeError(
        `Cannot allocate ${byteLength} bytes: the size must be 0 to ${this.limits.maxBufferBytes}`,
      );
    }
    return new WasmBuffer(this, this.#heap.allocate(byteLength), byteLength);
  }

  /** Takes back the memory of a buffer. */
  release(buffer: WasmBuffer): void {
    this.#heap.release(buffer.address, buffer.byteLength);
  }

  write(buffer: DeviceBuffer, data: ArrayBufferView<ArrayBuffer>, byteOffset = 0): void {
    const { address } = this.#region(buffer);
    if (byteOffset % 4 !== 0 || byteOffset < 0 || byteOffset + data.byteLength > buffer.byteLength) {
      throw new RangeError(
        `Cannot write ${data.byteLength} bytes at ${byteOffset} into a buffer of ${buffer.byteLength}`,
      );
    }
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    new Uint8Array(this.#memory.buffer, address + byteOffset, data.byteLength).set(bytes);
  }

  // deno-lint-ignore require-await
  async read(buffer: DeviceBuffer, options: ReadOptions = {}): Promise<ArrayBuffer> {
    const { byteOffset = 0, byteLength = buffer.byteLength - byteOffset } = options;
    const { address } = this.#region(buffer);
    if (
      byteOffset % 4 !== 0 || byteOffset < 0 || byteLength < 0 || byteOffset + byteLength > buffer.byteLength
    ) {
      throw new RangeError(
        `Cannot read ${byteLength} bytes at ${byteOffset} of a buffer of ${buffer.byteLength}`,
      );
    }
    const copy = new Uint8Array(byteLength);
    copy.set(new Uint8Array(this.#memory.buffer, address + byteOffset, byteLength));
    return copy.buffer;
  }

  supports(spec: KernelSpec): boolean {
    return Object.hasOwn(ops, spec.op);
  }

  // deno-lint-ignore require-await
  async prepare(spec: KernelSpec): Promise<Kernel> {
    if (!this.supports(spec)) throw unsupported(this.name, spec);
    const key = specKey(spec);
    let kernel = this.#kernels.get(key);
    if (!kernel) this.#kernels.set(key, kernel = { spec });
    return kernel;
  }

  dispatch(kernel: Kernel, inputs: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[]): void {
    checkBuffers(kernel.spec, inputs, outputs);
    const run = ops[kernel.spec.op] as OpRun<KernelSpec>;
    const from = inputs.map((buffer) => this.#region(buffer));
    const to = outputs.map((buffer) => this.#region(buffer));
    try {
      run(this, kernel.spec, from, to);
    } finally {
      for (const [address, size] of this.#temporaries) this.#heap.release(address, size);
      this.#temporaries = [];
    }
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  dispose(): void {
    this.#kernels.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  run(kernel: string, work: Work, args: readonly number[]): void {
    const scratch = work.scratch === undefined ? 0 : this.temporary(work.scratch);
    this.exports[kernel](0, work.units, scratch, ...args);
  }

  temporary(byteLength: number): number {
    const address = this.#heap.allocate(byteLength);
    this.#temporaries.push([address, byteLength]);
    return address;
  }

  indices(region: Region, count: number): Uint32Array {
    return new Uint32Array(this.#memory.buffer, region.address, count);
  }

  writeIntegers(address: number, values: readonly number[]): void {
    new Uint32Array(this.#memory.buffer, address, values.length).set(values);
  }

  #region(buffer: DeviceBuffer): Region {
    if (!(buffer instanceof WasmBuffer) || buffer.owner !== this) {
      throw new TypeError("Cannot use a buffer of another backend on this wasm backend");
    }
    if (buffer.disposed) throw new TypeError("Cannot use a disposed buffer");
    return buffer;
  }
}

/**
 * Makes the CPU backend: WebAssembly with 128-bit SIMD, and relaxed SIMD where the engine has it. Buffers live in
 * WebAssembly memory, at most 4 GiB together. Integer results equal the reference backend's exactly.
 *
 * @param options Which instructions to use.
 * @returns A backend that supports every spec.
 * @throws {TypeError} If the engine lacks WebAssembly SIMD.
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
  const { relaxedSimd = true } = options;
  const module = await loadModule({ shared: true, relaxed: relaxedSimd });
  return new WasmBackend(module, await instantiate(module));
}
