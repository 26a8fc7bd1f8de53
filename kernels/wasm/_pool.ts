// Threads that share the units of a kernel with the host. Without workers it is a plain call.
import { Control, STOP, Word } from "./_control.ts";
import type { KernelFunction, KernelModule } from "./_module.ts";
import type { WorkerStart } from "./_worker.ts";

/** Looks at the pending count this many times before sleeping until the workers are done. */
const SPINS = 20000;

/** One call of a kernel over all its units. */
export interface PoolCall {
  readonly kernel: string;
  readonly units: number;
  /** Number of threads to use, at most `Pool.threads`. */
  readonly threads: number;
  /** Address of the first scratch area, and bytes from one thread's to the next. */
  readonly scratch: number;
  readonly scratchStride: number;
  readonly args: readonly number[];
}

/** A pool of workers over shared WebAssembly memory. */
export class Pool implements Disposable {
  readonly #exports: Readonly<Record<string, KernelFunction>>;
  readonly #kernels: readonly string[];
  readonly #control: Control;
  readonly #workers: Worker[];

  private constructor(module: KernelModule, exports: Record<string, KernelFunction>, workers: Worker[]) {
    this.#exports = exports;
    this.#kernels = WebAssembly.Module.exports(module.module).map(({ name }) => name);
    this.#control = new Control(module.memory);
    this.#workers = workers;
  }

  /**
   * Starts `threads - 1` workers; none where the memory is not shared or workers do not start.
   *
   * @param module The kernels.
   * @param options The host's own instance of them, and the number of threads.
   */
  static async start(
    module: KernelModule,
    options: { readonly exports: Record<string, KernelFunction>; readonly threads: number },
  ): Promise<Pool> {
    const started: Promise<Worker>[] = [];
    for (let thread = 1; module.shared && thread < options.threads; thread++) {
      started.push(startWorker({ module, thread }));
    }
    const settled = await Promise.allSettled(started);
    const workers = settled.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
    const pool = new Pool(module, options.exports, workers);
    if (workers.length === started.length) return pool;
    // Threads are numbered, so a gap cannot be left: do without.
    pool.dispose();
    return new Pool(module, options.exports, []);
  }

  /** Number of threads, the host included. */
  get threads(): number {
    return this.#workers.length + 1;
  }

  /** Runs a kernel over all its units and returns when they are done.
   * @throws {Error} If a thread failed; the others have stopped by then. */
  run(call: PoolCall): void {
    const { kernel, units, args } = call;
    const threads = Math.min(call.threads, this.threads);
    if (threads <= 1) {
      this.#exports[kernel](0, units, call.scratch, ...args);
      return;
    }
    const control = this.#control;
    const { words } = control;
    control.arguments = args;
    words[Word.kernel] = this.#kernels.indexOf(kernel);
    words[Word.units] = units;
    // Many shares per thread, so that one that is interrupted does not keep the others waiting long.
    words[Word.chunk] = Math.max(1, Math.ceil(units / (threads * 16)));
    words[Word.scratch] = call.scratch;
    words[Word.scratchStride] = call.scratchStride;
    words[Word.failed] = 0;
    Atomics.store(words, Word.next, 0);
    Atomics.store(words, Word.pending, threads - 1);
    this.#wake(threads - 1);
    try {
      control.work(this.#exports[kernel], 0, args);
    } catch (error) {
      control.abandon();
      throw error;
    } finally {
      this.#join();
    }
    if (Atomics.load(words, Word.failed)) throw new Error(`Cannot finish ${kernel}: ${control.message}`);
  }

  /** Ends the workers. */
  dispose(): void {
    if (this.#workers.length === 0) return;
    // A sleeping worker does not notice that it is terminated, so it is woken to stop by itself.
    this.#control.words[Word.kernel] = STOP;
    this.#wake(this.#workers.length);
    for (const worker of this.#workers) worker.terminate();
    this.#workers.length = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Calls the first `workers` workers. */
  #wake(workers: number): void {
    const { words } = this.#control;
    for (let word = Word.calls + 1; word <= Word.calls + workers; word++) {
      Atomics.add(words, word, 1);
      Atomics.notify(words, word);
    }
  }

  #join(): void {
    const { words } = this.#control;
    for (let i = 0; i < SPINS; i++) if (Atomics.load(words, Word.pending) === 0) return;
    while (true) {
      const pending = Atomics.load(words, Word.pending);
      if (pending === 0) return;
      waitWhere(words, Word.pending, pending);
    }
  }
}

/** Sleeps until a word changes; returns at once where the host may not sleep, as on a browser's main thread. */
function waitWhere(words: Int32Array<ArrayBufferLike>, word: number, value: number): void {
  try {
    Atomics.wait(words, word, value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

function startWorker(start: WorkerStart): Promise<Worker> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./_worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = () => resolve(worker);
    worker.onerror = (event) => {
      event.preventDefault();
      worker.terminate();
      reject(new Error(event.message));
    };
    worker.postMessage(start);
  });
}
