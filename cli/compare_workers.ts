// The threads of `quik compare`: each takes the next method when it is done with one.
import type { ComparisonProgress, ComparisonRow } from "../models/mod.ts";
import type { BenchSetup, WorkerReport, WorkerTask } from "./compare_worker.ts";

/** How methods are shared among threads. */
export interface SharingOptions {
  /** Names of the methods, in their order. */
  readonly names: readonly string[];
  /** Number of threads. */
  readonly jobs: number;
  /** Called as the work goes on. */
  readonly onProgress: (progress: ComparisonProgress) => void;
  /** Called when a method is done or has failed. */
  readonly onRow: (row: ComparisonRow) => void;
  /** Stops the comparison. */
  readonly signal: AbortSignal;
}

/**
 * Measures methods on several threads.
 *
 * @param setup What each thread needs.
 * @param options Methods, threads, progress.
 * @returns A row per method, in their order.
 * @throws {Error} If a thread cannot start, or the signal's reason.
 */
export async function compareInWorkers(setup: BenchSetup, options: SharingOptions): Promise<ComparisonRow[]> {
  const { names, jobs, signal } = options;
  signal.throwIfAborted();
  const url = new URL("./compare_worker.ts", import.meta.url);
  const workers = Array.from({ length: jobs }, () => new Worker(url, { type: "module" }));
  const rows: ComparisonRow[] = [];
  const parts = new Array<number>(names.length).fill(0);
  const report = startReport(names, parts, options);
  try {
    return await new Promise((resolve, reject) => {
      let next = 0, finished = 0;
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      const take = (worker: Worker): void => {
        if (next < names.length) post(worker, { index: next++ });
      };
      for (const worker of workers) {
        worker.onerror = (event) => {
          event.preventDefault();
          reject(new Error(event.message));
        };
        worker.onmessage = ({ data }: MessageEvent<WorkerReport>) => {
          if (data.kind === "failed") return reject(new Error(data.message));
          if (data.kind === "ready") return take(worker);
          parts[data.index] = data.kind === "part" ? data.part : 1;
          report(data.index);
          if (data.kind === "part") return;
          rows[data.index] = data.row;
          options.onRow(data.row);
          if (++finished === names.length) resolve(rows);
          else take(worker);
        };
        post(worker, { setup });
      }
    });
  } finally {
    for (const worker of workers) worker.terminate();
  }
}

function post(worker: Worker, task: WorkerTask): void {
  worker.postMessage(task);
}

/** Adds up the parts that are done, and estimates the time left from the time taken. */
function startReport(
  names: readonly string[],
  parts: readonly number[],
  { onProgress }: SharingOptions,
): (index: number) => void {
  const started = performance.now();
  const total = names.length;
  return (index) => {
    const done = parts.reduce((sum, part) => sum + part, 0);
    const elapsed = (performance.now() - started) / 1000;
    onProgress({ method: names[index], done, total, secondsLeft: elapsed / done * (total - done) });
  };
}
