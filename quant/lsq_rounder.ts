// Quantization-aware training of one layer as a rounding step: weights and their step sizes are trained, through the
// rounding, to keep the layer's output (LSQ, arXiv 1902.08153, with the layer's Hessian as the loss).
import { storedHalf } from "./_stored_half.ts";
import { createAdam } from "./adam.ts";
import { integerGrid } from "./integer_grid.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { createMatrix64, type Matrix64, multiplyTransposed64, toMatrix64 } from "./matrix64.ts";
import type { Rounder } from "./recipe.ts";
import { fakeQuantizeStep, fakeQuantizeStepBackward, type StepGrid } from "./step_quantizer.ts";

/** Options of {@linkcode lsqRounder}. */
export interface LsqRounderOptions {
  /** Bits per code, 2 to 8. */
  readonly bits: number;
  /** Weights per row that share a step. Default: the whole row. */
  readonly groupSize?: number;
  /** Training steps. Default 12. */
  readonly steps?: number;
  /** Adam's rate for weights, relative to the mean step size; falls to 0 along a cosine. Default 0.01. */
  readonly learningRate?: number;
  /** Adam's rate for the logarithm of step sizes; falls likewise. Default 0.03. */
  readonly stepLearningRate?: number;
}

/**
 * Trains weights and steps on `tr((Q(w) - w0) H (Q(w) - w0)^T)`, the squared output error, and keeps the best state of each
 * row, the untrained one included.
 *
 * @param options Bits, groups and training.
 * @returns The rounder. Outlier columns are left as they are.
 * @throws {RangeError} If bits are not 2 to 8.
 */
export function lsqRounder(options: LsqRounderOptions): Rounder {
  const { bits } = options;
  if (!Number.isInteger(bits) || bits < 2 || bits > 8) {
    throw new RangeError(`Cannot train codes of ${bits} bits: it must be 2 to 8`);
  }
  return {
    name: `lsq int${bits}`,
    bits,
    round(weight, { calibration: { hessian }, outliers }) {
      const { rows, cols } = weight;
      const groupSize = Math.min(options.groupSize ?? cols, cols);
      const layout = { rows, cols, groupSize, groups: Math.ceil(cols / groupSize), bits };
      const trained = train(weight, toMatrix64(hessian), { layout, outliers, options });
      return { weight: trained, storedBits: rows * ((cols - outliers.length) * bits + 16 * layout.groups) };
    },
  };
}

/** How groups lie in a weight. */
interface Layout {
  readonly rows: number;
  readonly cols: number;
  readonly groupSize: number;
  /** Groups per row. */
  readonly groups: number;
  readonly bits: number;
}

/** What is trained. */
interface State {
  readonly weights: Float32Array<ArrayBuffer>;
  /** Logarithm of each group's step. */
  readonly logSteps: Float64Array;
}

function train(
  original: Matrix,
  hessian: Matrix64,
  context: { layout: Layout; outliers: Uint32Array; options: LsqRounderOptions },
): Matrix {
  const { layout, outliers, options } = context;
  const { steps = 12, learningRate = 0.01, stepLearningRate = 0.03 } = options;
  const state = startState(original, layout);
  const [adamWeights, adamSteps] = [createAdam(state.weights.length), createAdam(state.logSteps.length)];
  const meanStep = state.logSteps.reduce((sum, s) => sum + Math.exp(s), 0) / state.logSteps.length;
  const best = createMatrix(layout.rows, layout.cols);
  const bestLoss = new Float64Array(layout.rows).fill(Infinity);
  for (let step = 0;; step++) {
    const quantized = quantizeState(state, layout);
    for (const column of outliers) {
      for (let i = column; i < quantized.data.length; i += layout.cols) quantized.data[i] = original.data[i];
    }
    const gradient = keepBest(quantized, { original, hessian, best, bestLoss });
    if (step === steps) return best;
    const { byWeight, byStep } = gradients(state, gradient, layout);
    const decay = (1 + Math.cos(Math.PI * step / steps)) / 2;
    adamWeights.step(state.weights, byWeight, learningRate * meanStep * decay);
    adamSteps.step(state.logSteps, byStep, stepLearningRate * decay);
  }
}

/** The original weights and, per group, the step of least rounding error: a start better than LSQ's own. */
function startState(original: Matrix, layout: Layout): State {
  const grid = integerGrid({ bits: layout.bits, clip: true });
  const logSteps = new Float64Array(layout.rows * layout.groups);
  forEachGroup(layout, (group, start, end) => {
    logSteps[group] = Math.log(grid.fit(original.data.subarray(start, end)).scale);
  });
  return { weights: original.data.slice(), logSteps };
}

function gridOf(scale: number, bits: number): StepGrid {
  return { scale: storedHalf(scale), qmin: -(2 ** (bits - 1)), qmax: 2 ** (bits - 1) - 1 };
}

function quantizeState({ weights, logSteps }: State, layout: Layout): Matrix {
  const result = createMatrix(layout.rows, layout.cols);
  forEachGroup(layout, (group, start, end) => {
    const grid = gridOf(Math.exp(logSteps[group]), layout.bits);
    result.data.set(fakeQuantizeStep(weights.subarray(start, end), grid), start);
  });
  return result;
}

/** Copies the rows whose loss fell to `best`; returns the gradient of the loss by the quantized weights. */
function keepBest(
  quantized: Matrix,
  { original, hessian, best, bestLoss }: {
    original: Matrix;
    hessian: Matrix64;
    best: Matrix;
    bestLoss: Float64Array;
  },
): Float32Array {
  const { rows, cols, data } = quantized;
  const error = createMatrix64(rows, cols);
  for (let i = 0; i < data.length; i++) error.data[i] = data[i] - original.data[i];
  const pulled = multiplyTransposed64(error, hessian).data;
  for (let row = 0; row < rows; row++) {
    let loss = 0;
    for (let i = row * cols; i < (row + 1) * cols; i++) loss += error.data[i] * pulled[i];
    if (loss >= bestLoss[row]) continue;
    bestLoss[row] = loss;
    best.data.set(data.subarray(row * cols, (row + 1) * cols), row * cols);
  }
  return new Float32Array(pulled.map((value) => 2 * value));
}

function gradients(
  { weights, logSteps }: State,
  gradient: Float32Array,
  layout: Layout,
): { byWeight: Float32Array; byStep: Float64Array } {
  const byWeight = new Float32Array(weights.length);
  const byStep = new Float64Array(logSteps.length);
  forEachGroup(layout, (group, start, end) => {
    const grid = gridOf(Math.exp(logSteps[group]), layout.bits);
    const part = fakeQuantizeStepBackward(weights.subarray(start, end), gradient.subarray(start, end), grid);
    byWeight.set(part.values, start);
    // By the logarithm of the step.
    byStep[group] = part.scale * grid.scale;
  });
  return { byWeight, byStep };
}

function forEachGroup(layout: Layout, visit: (group: number, start: number, end: number) => void): void {
  const { rows, cols, groupSize, groups } = layout;
  for (let row = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) {
      const start = row * cols + group * groupSize;
      visit(row * groups + group, start, Math.min(start + groupSize, (row + 1) * cols));
    }
  }
}
