// The largest input magnitudes of every linear layer, measured on the model as it is: what QUIK chooses its outlier
// columns by.
import { accumulateAbsmax, DeviceTensor } from "../ops/mod.ts";
import { createMatrix } from "../quant/mod.ts";
import type { Model } from "./model.ts";

/** Options of {@linkcode activationMaxima}. */
export interface ActivationMaximaOptions {
  /** Called after each window. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the measurement. */
  readonly signal?: AbortSignal;
}

/**
 * Measures `max |x_j|` per input column of every linear layer over windows of tokens.
 *
 * @param model The model, normally not quantized: the paper takes its scales from the float model.
 * @param windows Token ids of each window.
 * @param options Progress and cancellation.
 * @returns Maxima `[inputs]` by full name of the layer; layers that share an input share the array.
 * @throws {RangeError} If there is no window.
 */
export async function activationMaxima(
  model: Model,
  windows: readonly Uint32Array<ArrayBuffer>[],
  options: ActivationMaximaOptions = {},
): Promise<Map<string, Float32Array<ArrayBuffer>>> {
  if (windows.length === 0) {
    throw new RangeError("Cannot calibrate on no text: at least one window is needed");
  }
  const sums = new Map<string, { names: string[]; absmax: DeviceTensor }>();
  try {
    for (const [index, window] of windows.entries()) {
      options.signal?.throwIfAborted();
      await addWindow(model, window, sums);
      options.onProgress?.(index + 1, windows.length);
    }
    const maxima = new Map<string, Float32Array<ArrayBuffer>>();
    for (const { names, absmax } of sums.values()) {
      const { data } = await absmax.toMatrix();
      for (const name of names) maxima.set(name, data);
    }
    return maxima;
  } finally {
    for (const { absmax } of sums.values()) absmax.dispose();
  }
}

async function addWindow(
  model: Model,
  window: Uint32Array<ArrayBuffer>,
  sums: Map<string, { names: string[]; absmax: DeviceTensor }>,
): Promise<void> {
  using pass = await model.begin(window);
  let { hidden } = pass;
  for (const block of model.blocks) {
    const forward = block.forward(hidden, pass.context);
    let step = await forward.next();
    for (; !step.done; step = await forward.next()) {
      const { slots, input } = step.value;
      let sum = sums.get(slots[0].name);
      if (!sum) {
        const absmax = DeviceTensor.fromMatrix(model.backend, createMatrix(1, input.columns));
        sums.set(slots[0].name, sum = { names: slots.map((slot) => slot.name), absmax });
      }
      await accumulateAbsmax(input, sum.absmax);
    }
    hidden = step.value;
  }
  hidden.dispose();
}
