// The CPU backend at SIMD speed: buffers are pieces of one WebAssembly memory, and kernels run on them in place.
import type { Backend, BackendLimits, DeviceBuffer, Kernel, ReadOptions } from "../backend.ts";
import { checkBuffers, specKey, unsupported } from "../signature.ts";
import type { KernelSpec, OpName } from "../specs.ts";
import type { Context, Region, Work } from "./_context.ts";
import { Heap, MAX_PAGES } from "./_heap.ts";
import type { KernelFunction, KernelModule } from "./_module.ts";
import type { Pool } from "./_pool.ts";
import * as fbgemm from "./_ops_fbgemm.ts";
import * as gptq from "./_ops_gptq.ts";
import * as quantization from "./_ops_quantization.ts";
import * as linear from "./_ops_linear.ts";
import { quikLayer } from "./_ops_quik_layer.ts";
import * as rows from "./_ops_rows.ts";

type OpRun<Spec> = (context: Context, spec: Spec, inputs: Region[], outputs: Region[]) => void;
type OpTable = { readonly [Op in OpName]: OpRun<Extract<KernelSpec, { op: Op }>> };

const ops: OpTable = {
  dense_linear: linear.denseLinear,
  quantize_activations: rows.quantizeActivations,
  integer_matmul: linear.integerMatmul,
  quik_linear: linear.quikLinear,
  quik_layer: quikLayer,
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
  argmax: rows.argmax,
  gram: linear.gram,
  column_absmax: rows.columnAbsmax,
  codebook_linear: linear.codebookLinear,
  hadamard: quantization.hadamard,
  quantize_groups: quantization.quantizeGroups,
  dequantize_groups: quantization.dequantizeGroups,
  grouped_linear: quantization.groupedLinear,
  sparse_add: quantization.sparseAdd,
  low_rank_add: quantization.lowRankAdd,
  inverse_factor: gptq.inverseFactor,
  gptq_sweep: gptq.gptqSweep,
  table_linear: linear.tableLinear,
  affine_linear: fbgemm.affineLinear,
  outlier_matmul: fbgemm.outlierMatmul,
};

/** Operations (one multiply-add is two) that are worth waking a thread for: measured, about 50 microseconds. */
const THREAD_OPERATIONS = 2_000_000;

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

/** The backend over a loaded module and its pool. */
export class WasmBackend implements Backend, Context {
  readonly name = "wasm";
  readonly description: string;
  readonly features: ReadonlySet<string>;
  readonly limits: BackendLimits = { maxBufferBytes: (MAX_PAGES - 1) * 65536 };
  readonly exports: Readonly<Record<string, KernelFunction>>;
  readonly dotTakesBytes: boolean;
  readonly #memory: WebAssembly.Memory;
  readonly #heap: Heap;
  readonly #pool: Pool;
  readonly #kernels = new Map<string, Kernel>();
  /** The temporary areas of the running op, as [address, size]. */
  #temporaries: [number, number][] = [];

  constructor(module: KernelModule, exports: Record<string, KernelFunction>, pool: Pool) {
    this.#memory = module.memory;
    this.#heap = new Heap(module.memory, HEAP_START);
    this.#pool = pool;
    this.exports = exports;
    this.dotTakesBytes = exports.dot_takes_bytes(-128, 255) !== 0;
    this.features = new Set(["simd", ...(module.relaxed ? ["relaxed-simd"] : [])]);
    const threads = pool.threads === 1 ? "1 thread" : `${pool.threads} threads`;
    this.description = `WebAssembly ${module.relaxed ? "relaxed SIMD" : "SIMD"}, ${threads}`;
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
    this.#pool.dispose();
    this.#kernels.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  run(kernel: string, work: Work, args: readonly number[]): void {
    const { units, cost, scratch: scratchBytes = 0 } = work;
    const worthwhile = Math.max(Math.floor(units * cost / THREAD_OPERATIONS), 1);
    const threads = Math.min(this.#pool.threads, worthwhile, units);
    // A multiple of the cache line, so that threads do not write to the same one.
    const scratchStride = Math.ceil(scratchBytes / 64) * 64;
    const scratch = scratchBytes > 0 ? this.temporary(scratchStride * threads) : 0;
    this.#pool.run({ kernel, units, threads, scratch, scratchStride, args });
  }

  temporary(byteLength: number): number {
    const address = this.#heap.allocate(byteLength);
    this.#temporaries.push([address, byteLength]);
    return address;
  }

  indices(region: Region, count: number): Uint32Array {
    return new Uint32Array(this.#memory.buffer, region.address, count);
  }

  floats(address: number, count: number): Float32Array {
    return new Float32Array(this.#memory.buffer, address, count);
  }

  fill(address: number, value: number, byteLength: number): void {
    new Uint8Array(this.#memory.buffer, address, byteLength).fill(value);
  }

  writeIntegers(address: number, values: ArrayLike<number>): void {
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
