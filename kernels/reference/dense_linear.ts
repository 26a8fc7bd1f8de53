// y = x * weight^T + bias, summed in float64.
import type { DenseLinearSpec } from "../specs.ts";
import { readInput } from "./_input.ts";
import { storeResult } from "./_result.ts";
import { type Bytes, decodeFloats, floats } from "./_views.ts";

/** Reference of {@linkcode DenseLinearSpec}. */
export function denseLinear(
  spec: DenseLinearSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const { rows, columns, inner } = spec;
  const x = readInput(spec, inputs[0]);
  const weight = decodeFloats(inputs[1], spec.weightType, columns * inner);
  const bias = spec.bias ? floats(inputs[2], columns) : undefined;
  const y = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += x[row * inner + k] * weight[column * inner + k];
      y[row * columns + column] = sum + (bias ? bias[column] : 0);
    }
  }
  storeResult(spec, y, outputs[0]);
}
