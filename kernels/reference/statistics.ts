// Reductions over tokens: the Gram matrix and column maxima of calibration, and the loss of evaluation.
import type { ArgmaxSpec, ColumnAbsmaxSpec, GramSpec, TokenNllSpec } from "../specs.ts";
import { type Bytes, floats, indices } from "./_views.ts";

/** Reference of {@linkcode GramSpec}. */
export function gram(spec: GramSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const { rows, columns } = spec;
  const x = floats(inputs[0], rows * columns);
  const sums = floats(outputs[0], columns * columns);
  for (let i = 0; i < columns; i++) {
    for (let j = i; j < columns; j++) {
      let sum = 0;
      for (let row = 0; row < rows; row++) sum += x[row * columns + i] * x[row * columns + j];
      sums[i * columns + j] += sum;
      if (j > i) sums[j * columns + i] += sum;
    }
  }
}

/** Reference of {@linkcode ColumnAbsmaxSpec}. */
export function columnAbsmax(
  spec: ColumnAbsmaxSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const { rows, columns } = spec;
  const x = floats(inputs[0], rows * columns);
  const absmax = floats(outputs[0], columns);
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < columns; j++) absmax[j] = Math.max(absmax[j], Math.abs(x[row * columns + j]));
  }
}

/** Reference of {@linkcode TokenNllSpec}. */
export function tokenNll(spec: TokenNllSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const { rows, columns } = spec;
  const logits = floats(inputs[0], rows * columns);
  const targets = indices(inputs[1], rows);
  const nll = floats(outputs[0], rows);
  for (let row = 0; row < rows; row++) {
    const values = logits.subarray(row * columns, (row + 1) * columns);
    let highest = -Infinity;
    for (const value of values) highest = Math.max(highest, value);
    let total = 0;
    for (const value of values) total += Math.exp(value - highest);
    nll[row] = highest + Math.log(total) - values[targets[row]];
  }
}

/** Reference of {@linkcode ArgmaxSpec}. */
export function argmax(spec: ArgmaxSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const { rows, columns } = spec;
  const logits = floats(inputs[0], rows * columns);
  const ids = indices(outputs[0], rows);
  for (let row = 0; row < rows; row++) {
    let highest = -Infinity;
    ids[row] = 0;
    for (let column = 0; column < columns; column++) {
      const value = logits[row * columns + column];
      if (value > highest) {
        highest = value;
        ids[row] = column;
      }
    }
  }
}
