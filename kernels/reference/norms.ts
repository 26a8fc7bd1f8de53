// Row normalizations, with float64 sums.
import type { LayerNormSpec, RmsNormSpec } from "../specs.ts";
import { type Bytes, floats } from "./_views.ts";

/** Reference of {@linkcode RmsNormSpec}. */
export function rmsNorm(spec: RmsNormSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const { rows, columns, epsilon } = spec;
  const x = floats(inputs[0], rows * columns);
  const weight = floats(inputs[1], columns);
  const y = floats(outputs[0], rows * columns);
  for (let row = 0; row < rows; row++) {
    const at = row * columns;
    let squares = 0;
    for (let j = 0; j < columns; j++) squares += x[at + j] * x[at + j];
    const inverse = 1 / Math.sqrt(squares / columns + epsilon);
    for (let j = 0; j < columns; j++) y[at + j] = x[at + j] * inverse * weight[j];
  }
}

/** Reference of {@linkcode LayerNormSpec}. */
export function layerNorm(spec: LayerNormSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const { rows, columns, epsilon } = spec;
  const x = floats(inputs[0], rows * columns);
  const weight = floats(inputs[1], columns);
  const bias = floats(inputs[2], columns);
  const y = floats(outputs[0], rows * columns);
  for (let row = 0; row < rows; row++) {
    const at = row * columns;
    let sum = 0;
    for (let j = 0; j < columns; j++) sum += x[at + j];
    const mean = sum / columns;
    let squares = 0;
    for (let j = 0; j < columns; j++) squares += (x[at + j] - mean) ** 2;
    const inverse = 1 / Math.sqrt(squares / columns + epsilon);
    for (let j = 0; j < columns; j++) y[at + j] = (x[at + j] - mean) * inverse * weight[j] + bias[j];
  }
}
