// What the float model does, measured once: the yardstick of every method of a comparison.
import { applyLinear, DeviceTensor, type Linear } from "../ops/mod.ts";
import type { Matrix } from "../quant/mod.ts";
import { denseLinear } from "./_dense_linear.ts";
import type { Model } from "./model.ts";
import type { ObservedLayer } from "./observe_layers.ts";

/** Log-probabilities of the float model over some windows. */
export interface FloatLogits {
  readonly ids: Uint32Array<ArrayBuffer>;
  /** `[tokens, vocabulary]`. */
  readonly logProbabilities: Float32Array<ArrayBuffer>;
}

/** Runs the model on windows of tokens and keeps what it predicts. */
export async function floatLogits(
  model: Model,
  windows: readonly Uint32Array<ArrayBuffer>[],
): Promise<FloatLogits[]> {
  const results: FloatLogits[] = [];
  for (const ids of windows) {
    const logProbabilities = toLogProbabilities(await model.forward(ids), model.config.vocabularySize);
    results.push({ ids, logProbabilities });
  }
  return results;
}

/** In place, row by row. */
function toLogProbabilities(
  logits: Float32Array<ArrayBuffer>,
  vocabulary: number,
): Float32Array<ArrayBuffer> {
  for (let start = 0; start < logits.length; start += vocabulary) {
    const row = logits.subarray(start, start + vocabulary);
    let largest = -Infinity, sum = 0;
    for (let i = 0; i < vocabulary; i++) if (row[i] > largest) largest = row[i];
    for (let i = 0; i < vocabulary; i++) sum += Math.exp(row[i] - largest);
    const shift = largest + Math.log(sum);
    for (let i = 0; i < vocabulary; i++) row[i] -= shift;
  }
  return logits;
}

/**
 * Mean over tokens of the Kullback-Leibler divergence from the float model's prediction to the model's present one.
 *
 * @returns Nats per token.
 */
export async function meanDivergence(model: Model, baseline: readonly FloatLogits[]): Promise<number> {
  const { vocabularySize } = model.config;
  let sum = 0, tokens = 0;
  for (const { ids, logProbabilities: p } of baseline) {
    const q = toLogProbabilities(await model.forward(ids), vocabularySize);
    for (let i = 0; i < p.length; i++) sum += Math.exp(p[i]) * (p[i] - q[i]);
    tokens += ids.length;
  }
  return sum / tokens;
}

/** The output of a layer for its calibration samples. */
export async function sampleOutput(
  model: Model,
  linear: Linear,
  { calibration }: ObservedLayer,
): Promise<Matrix> {
  using x = DeviceTensor.fromMatrix(model.backend, calibration.inputs);
  using y = await applyLinear(linear, x);
  return await y.toMatrix();
}

/** What the float layer gives for them. */
export async function denseOutput(model: Model, observed: ObservedLayer): Promise<Matrix> {
  using linear = denseLinear(model.backend, observed.layer);
  return await sampleOutput(model, linear, observed);
}

/** `||actual - expected|| / ||expected||`, Frobenius norms, columns scaled first; 0 if both are zero. */
export function relativeError(actual: Matrix, expected: Matrix, scale?: Float32Array): number {
  let error = 0, norm = 0;
  for (let i = 0; i < expected.data.length; i++) {
    const factor = scale?.[i % expected.cols] ?? 1;
    error += (factor * (actual.data[i] - expected.data[i])) ** 2;
    norm += (factor * expected.data[i]) ** 2;
  }
  return error === 0 ? 0 : Math.sqrt(error / norm);
}
