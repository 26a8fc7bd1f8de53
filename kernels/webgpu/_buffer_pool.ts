// Device memory for the backend. Freed buffers are kept for the next request of their size class, up to a budget,
// because creating a buffer costs far more than a dispatch.
import type { DeviceBuffer } from "../backend.ts";

/** A buffer of the WebGPU backend. Its GPU memory is a little larger than `byteLength`: a multiple of 16 bytes. */
export class WebGpuBuffer implements DeviceBuffer {
  readonly byteLength: number;
  /** Distinguishes GPU buffers in bind group keys; a reused GPU buffer keeps its number. */
  readonly id: number;
  #gpu: GPUBuffer | undefined;
  readonly #pool: BufferPool;

  constructor(pool: BufferPool, gpu: GPUBuffer, id: number, byteLength: number) {
    this.#pool = pool;
    this.#gpu = gpu;
    this.id = id;
    this.byteLength = byteLength;
  }

  /** The pool, and so the backend, that made this buffer. */
  get pool(): BufferPool {
    return this.#pool;
  }

  /** The memory itself.
   * @throws {TypeError} If the buffer was disposed. */
  get gpu(): GPUBuffer {
    if (this.#gpu === undefined) {
      throw new TypeError(`Cannot use a buffer of ${this.byteLength} bytes: it is disposed`);
    }
    return this.#gpu;
  }

  dispose(): void {
    if (this.#gpu === undefined) return;
    this.#pool.release(this.#gpu, this.id);
    this.#gpu = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** What the pool needs from its owner. */
export interface BufferPoolOptions {
  /** Largest buffer handed out, bytes. */
  readonly maxBytes: number;
  /** Most bytes kept for reuse. */
  readonly keepBytes: number;
  /** Called before GPU memory is destroyed, so that queued work which uses it is submitted first. */
  readonly beforeDestroy: () => void;
  /** Called with the outcome of each creation. */
  readonly onError: (error: Promise<Error | undefined>) => void;
}

/** Hands out storage buffers and takes them back. */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #options: BufferPoolOptions;
  readonly #free = new Map<number, { gpu: GPUBuffer; id: number }[]>();
  readonly #live = new Set<GPUBuffer>();
  #keptBytes = 0;
  #nextId = 0;

  constructor(device: GPUDevice, options: BufferPoolOptions) {
    this.#device = device;
    this.#options = options;
  }

  /** Bytes of GPU memory in use by callers. */
  get usedBytes(): number {
    return this.#live.values().reduce((sum, gpu) => sum + gpu.size, 0);
  }

  /** Bytes of GPU memory kept for reuse. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Takes a buffer from the free list or creates one. */
  allocate(byteLength: number): WebGpuBuffer {
    const { maxBytes } = this.#options;
    if (!Number.isInteger(byteLength) || byteLength < 0) {
      throw new RangeError(`Cannot allocate ${byteLength} bytes: the size must be a non-negative integer`);
    }
    if (byteLength > maxBytes) {
      throw new RangeError(
        `Cannot allocate ${byteLength} bytes: this WebGPU device binds at most ${maxBytes} bytes in one buffer`,
      );
    }
    const size = Math.min(sizeClass(byteLength), Math.floor(maxBytes / 16) * 16);
    const reused = this.#free.get(size)?.pop();
    if (reused !== undefined) this.#keptBytes -= size;
    const { gpu, id } = reused ?? this.#create(size, byteLength);
    this.#live.add(gpu);
    return new WebGpuBuffer(this, gpu, id, byteLength);
  }

  /** Takes GPU memory back, to keep or to destroy. */
  release(gpu: GPUBuffer, id: number): void {
    if (!this.#live.delete(gpu)) return;
    if (this.#keptBytes + gpu.size > this.#options.keepBytes) {
      this.#options.beforeDestroy();
      gpu.destroy();
      return;
    }
    this.#keptBytes += gpu.size;
    const list = this.#free.get(gpu.size);
    if (list === undefined) this.#free.set(gpu.size, [{ gpu, id }]);
    else list.push({ gpu, id });
  }

  /** Destroys all memory, in use or not. */
  dispose(): void {
    for (const list of this.#free.values()) list.forEach(({ gpu }) => gpu.destroy());
    for (const gpu of this.#live) gpu.destroy();
    this.#free.clear();
    this.#live.clear();
    this.#keptBytes = 0;
  }

  #create(size: number, byteLength: number): { gpu: GPUBuffer; id: number } {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.#device.pushErrorScope("out-of-memory");
    this.#device.pushErrorScope("validation");
    const gpu = this.#device.createBuffer({ size, usage });
    const scopes = [this.#device.popErrorScope(), this.#device.popErrorScope()];
    this.#options.onError(
      Promise.all(scopes).then(([invalid, outOfMemory]) => {
        const cause = outOfMemory ?? invalid;
        if (cause === null) return undefined;
        const reason = outOfMemory === null ? cause.message : "out of memory";
        return new RangeError(`Cannot allocate ${byteLength} bytes on the WebGPU device: ${reason}`, {
          cause,
        });
      }),
    );
    return { gpu, id: this.#nextId++ };
  }
}

/** Rounds up so that near sizes share a free list: to 256 bytes, and to an eighth of the leading power of two. */
function sizeClass(byteLength: number): number {
  const step = Math.max(256, 2 ** (Math.floor(Math.log2(Math.max(byteLength, 1))) - 3));
  return Math.max(step, Math.ceil(byteLength / step) * step);
}
