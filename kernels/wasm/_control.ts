// The words of shared memory through which threads agree on work, and the loop that claims it. Used by both sides.
import type { KernelFunction } from "./_module.ts";

/** Address of the control words, below everything the kernels use. */
const CONTROL_ADDRESS = 64;
/** Address of the kernel's arguments, float64. */
const ARGUMENTS_ADDRESS = 512;
const MAX_ARGUMENTS = 32;
/** Address and length of the message of a failed thread, UTF-8. */
const MESSAGE_ADDRESS = 1024;
const MESSAGE_BYTES = 1024;

/** Most threads, the host included. */
export const MAX_THREADS = 64;

/** Positions of the control words. */
export const Word = {
  /** First unit that nobody has claimed. */
  next: 0,
  /** Workers still at work; the host sleeps on it. */
  pending: 1,
  /** 1 when a worker failed, and its message is written. */
  failed: 2,
  /** Position of the kernel among the module's exports, or -1 to end the worker. */
  kernel: 3,
  units: 4,
  chunk: 5,
  argumentCount: 6,
  /** Address of the first scratch area and bytes from one thread's to the next. */
  scratch: 7,
  scratchStride: 8,
  /** From here on one word per thread: how often it was called. A worker sleeps on its own, so that a call wakes those
   * that take part and no other. */
  calls: 16,
} as const;

/** Value of `Word.kernel` that ends a worker. */
export const STOP = -1;

/** Typed views of the control area. */
export class Control {
  readonly words: Int32Array<ArrayBufferLike>;
  readonly #arguments: Float64Array<ArrayBufferLike>;
  readonly #message: Uint8Array<ArrayBufferLike>;

  constructor(memory: WebAssembly.Memory) {
    this.words = new Int32Array(memory.buffer, CONTROL_ADDRESS, Word.calls + MAX_THREADS);
    this.#arguments = new Float64Array(memory.buffer, ARGUMENTS_ADDRESS, MAX_ARGUMENTS);
    this.#message = new Uint8Array(memory.buffer, MESSAGE_ADDRESS, MESSAGE_BYTES);
  }

  /** The arguments of the running kernel. */
  get arguments(): number[] {
    return [...this.#arguments.subarray(0, this.words[Word.argumentCount])];
  }

  set arguments(values: readonly number[]) {
    this.#arguments.set(values);
    this.words[Word.argumentCount] = values.length;
  }

  /** Why a worker failed. */
  get message(): string {
    const end = this.#message.indexOf(0);
    return new TextDecoder().decode(this.#message.slice(0, end));
  }

  set message(text: string) {
    const bytes = new TextEncoder().encode(text).subarray(0, MESSAGE_BYTES - 1);
    this.#message.fill(0);
    this.#message.set(bytes);
  }

  /** Claims units chunk by chunk and runs `kernel` on them, until none is left. */
  work(kernel: KernelFunction, thread: number, args: readonly number[]): void {
    const units = this.words[Word.units];
    const chunk = this.words[Word.chunk];
    const scratch = this.words[Word.scratch] + thread * this.words[Word.scratchStride];
    while (true) {
      const begin = Atomics.add(this.words, Word.next, chunk);
      if (begin >= units) return;
      kernel(begin, Math.min(begin + chunk, units), scratch, ...args);
    }
  }

  /** Leaves nothing to claim. */
  abandon(): void {
    Atomics.store(this.words, Word.next, this.words[Word.units]);
  }
}
