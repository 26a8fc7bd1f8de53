// Calibration: all windows go through the model in lock-step, stage by stage, so that each group of linear layers is
// seen with the inputs that its (already quantized) predecessors give it. One forward over the text in all.
import { CalibrationAccumulator, createMatrix, type LayerCalibration, type Matrix } from "../quant/mod.ts";
import { accumulateGram, DeviceTensor } from "../ops/mod.ts";
import type { LinearSlot, LinearStage, StagedForward } from "./linear_slot.ts";
import type { Model, Pass } from "./model.ts";

/** Attention in, attention out, feed-forward in, feed-forward out. */
const STAGES_PER_BLOCK = 4;

/** A group of linear layers that read one input, and what calibration learned of that input. */
export interface CalibratedStage {
  /** The layers. Replacing one changes what later stages see. */
  readonly slots: readonly LinearSlot[];
  /** Statistics of their common input. */
  readonly calibration: LayerCalibration;
}

/** Options of {@linkcode calibrate}. */
export interface CalibrateOptions {
  /** Called for each group of layers in the order of the forward; may replace them. */
  readonly visit: (stage: CalibratedStage) => void | Promise<void>;
  /** Called when a block is done: after it, no window reads its layers again. */
  readonly blockDone?: (block: number) => void | Promise<void>;
  /** Whether to accumulate Hessians. Default true. */
  readonly hessian?: boolean;
  /** Input rows to keep of each layer, for methods that search on outputs. Default 256. */
  readonly samples?: number;
  /** Called after each group of layers. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the calibration. */
  readonly signal?: AbortSignal;
}

/**
 * Drives windows of tokens through a model and shows each group of linear layers the statistics of its inputs.
 *
 * @param model The model; its layers may be replaced on the way.
 * @param options What to do with each group, and the windows' statistics to keep.
 * @param windows Token ids of each window.
 * @throws {RangeError} If there is no window, or the model produces a value that is not finite.
 */
export async function calibrate(
  model: Model,
  windows: readonly Uint32Array<ArrayBuffer>[],
  options: CalibrateOptions,
): Promise<void> {
  if (windows.length === 0) {
    throw new RangeError("Cannot calibrate on no text: at least one window is needed");
  }
  const total = model.blocks.length * STAGES_PER_BLOCK;
  let done = 0;
  const passes: Pass[] = [];
  // Between blocks the hidden states are ours; within one they belong to its forwards.
  let hidden: DeviceTensor[] = [];
  try {
    for (const window of windows) {
      passes.push(await model.begin(window));
      hidden.push(passes[passes.length - 1].hidden);
    }
    for (const [index, block] of model.blocks.entries()) {
      const forwards = hidden.map((states, i) => block.forward(states, passes[i].context));
      hidden = [];
      hidden = await inLockStep(forwards, async (stages) => {
        options.signal?.throwIfAborted();
        const { slots } = stages[0];
        const calibration = await inputStatistics(stages.map((stage) => stage.input), options);
        await options.visit({ slots, calibration });
        options.onProgress?.(++done, total);
      });
      await options.blockDone?.(index);
    }
  } finally {
    for (const states of hidden) states.dispose();
    for (const pass of passes) pass[Symbol.dispose]();
  }
}

/** Runs staged forwards side by side: `visit` sees the same stage of all of them before any goes on. */
async function inLockStep(
  forwards: readonly StagedForward[],
  visit: (stages: readonly LinearStage[]) => Promise<void>,
): Promise<DeviceTensor[]> {
  const outputs: DeviceTensor[] = [];
  try {
    while (outputs.length === 0) {
      const stages: LinearStage[] = [];
      for (const forward of forwards) {
        const step = await forward.next();
        if (step.done) outputs.push(step.value);
        else stages.push(step.value);
      }
      if (stages.length > 0) await visit(stages);
    }
    return outputs;
  } catch (error) {
    for (const output of outputs) output.dispose();
    for (const forward of forwards) await forward.return(undefined as never);
    throw error;
  }
}

/** Waits for all, also if one fails, since they use what is freed then. */
async function allDone<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}

/** Most bytes of windows that are read from a backend together: a GPU answers after milliseconds, however little is asked
 * for. */
const BYTES_ON_THEIR_WAY = 2 ** 26;

async function inputStatistics(
  inputs: readonly DeviceTensor[],
  options: CalibrateOptions,
): Promise<LayerCalibration> {
  const { hessian = true, samples } = options;
  const { columns } = inputs[0];
  const rows = Math.max(...inputs.map((input) => input.rows));
  const accumulator = new CalibrationAccumulator(columns, { hessian, samples });
  // A Gram matrix is there three times: zeros on their way, sums on the backend, sums on their way back.
  const bytes = 4 * columns * (rows + (hessian ? 3 * columns : 0));
  const together = Math.max(1, Math.floor(BYTES_ON_THEIR_WAY / bytes));
  for (let first = 0; first < inputs.length; first += together) {
    const windows = inputs.slice(first, first + together).map(async (input) => ({
      gram: hessian ? await gramOf(input) : undefined,
      window: await input.toMatrix(),
    }));
    for (const { window, gram } of await allDone(windows)) accumulator.add(window, { gram });
  }
  return accumulator.finish();
}

/** `x^T x` of one window, on the backend. Windows are summed in float64 on the host. */
async function gramOf(x: DeviceTensor): Promise<Matrix> {
  using sum = DeviceTensor.fromMatrix(x.backend, createMatrix(x.columns, x.columns));
  await accumulateGram(x, sum);
  return await sum.toMatrix();
}
