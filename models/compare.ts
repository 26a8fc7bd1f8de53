// Many methods on one model, one after the other: each quantizes the whole model, is measured, and leaves it as it was.
import type { ComparisonRow } from "./comparison_row.ts";
import { MethodBench, type MethodBenchOptions } from "./method_bench.ts";
import type { Model } from "./model.ts";
import type { ModelMethod } from "./model_method.ts";

/** How far a comparison is. */
export interface ComparisonProgress {
  /** The method at work. */
  readonly method: string;
  /** Methods done, the present one in parts. */
  readonly done: number;
  /** Number of methods. */
  readonly total: number;
  /** Estimated from the time taken so far. */
  readonly secondsLeft: number;
}

/** Options of {@linkcode compareMethods}. */
export interface CompareOptions extends MethodBenchOptions {
  /** Called when a method is done or has failed. */
  readonly onRow?: (row: ComparisonRow) => void;
  /** Called as the work goes on. */
  readonly onProgress?: (progress: ComparisonProgress) => void;
  /** Stops the comparison; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Quantizes a model with one method after the other and measures each. The model ends as it began. A method that fails
 * gives a row that says why, and the others go on.
 *
 * @param model The float model.
 * @param methods The methods.
 * @param options Calibration, text, and what to measure.
 * @returns A row per method, in their order.
 * @throws {RangeError} If the text is shorter than a window.
 */
export async function compareMethods(
  model: Model,
  methods: readonly ModelMethod[],
  options: CompareOptions,
): Promise<ComparisonRow[]> {
  const { signal, onRow, onProgress } = options;
  using bench = await MethodBench.create(model, options);
  const started = performance.now();
  const rows: ComparisonRow[] = [];
  for (const [index, method] of methods.entries()) {
    signal?.throwIfAborted();
    const onPart = (part: number): void => {
      const done = index + part, total = methods.length;
      const elapsed = (performance.now() - started) / 1000;
      onProgress?.({ method: method.name, done, total, secondsLeft: elapsed / done * (total - done) });
    };
    const row = await bench.measure(method, { onPart, signal });
    rows.push(row);
    onRow?.(row);
  }
  return rows;
}
