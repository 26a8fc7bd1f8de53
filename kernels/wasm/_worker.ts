// A thread of the pool: makes its own instance of the kernels over the shared memory, then sleeps until there is
// work, until it is told to stop.
import { Control, STOP, Word } from "./_control.ts";
import { instantiate, type KernelFunction, type KernelModule } from "./_module.ts";

/** What the host sends to start a thread. */
export interface WorkerStart {
  readonly module: KernelModule;
  /** Number of the thread; the host is 0. */
  readonly thread: number;
}

/** The part of a worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<WorkerStart>) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

/** Looks for a call this many times, some 100 microseconds, before going to sleep: work often follows work, and waking
 * takes half as long. */
const SPINS = 20_000;

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data }) => {
  const exports = await instantiate(data.module);
  const kernels = WebAssembly.Module.exports(data.module.module).map(({ name }) => exports[name]);
  const control = new Control(data.module.memory);
  const calls = Atomics.load(control.words, Word.calls + data.thread);
  scope.postMessage("ready");
  serve(control, kernels, data.thread, calls);
  scope.close();
};

function serve(control: Control, kernels: KernelFunction[], thread: number, calls: number): void {
  const { words } = control;
  const own = Word.calls + thread;
  while (true) {
    for (let i = 0; i < SPINS && Atomics.load(words, own) === calls; i++);
    Atomics.wait(words, own, calls);
    const current = Atomics.load(words, own);
    if (current === calls) continue;
    calls = current;
    if (words[Word.kernel] === STOP) return;
    try {
      control.work(kernels[words[Word.kernel]], thread, control.arguments);
    } catch (error) {
      control.message = String(error);
      Atomics.store(words, Word.failed, 1);
      control.abandon();
    }
    if (Atomics.sub(words, Word.pending, 1) === 1) Atomics.notify(words, Word.pending);
  }
}
