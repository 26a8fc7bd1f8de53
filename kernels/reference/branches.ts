// What methods add to a quantized product: a sparse part and a low-rank branch.
import type { LowRankAddSpec, SparseAddSpec } from "../quantization_specs.ts";
import { type Bytes, decodeFloats, floats, indices } from "./_views.ts";

/** Reference of {@linkcode SparseAddSpec}. */
export function sparseAdd(spec: SparseAddSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const { rows, columns, inner, nonzeros } = spec;
  const x = floats(inputs[0], rows * inner);
  const starts = indices(inputs[1], columns + 1);
  const at = indices(inputs[2], nonzeros);
  const values = floats(inputs[3], nonzeros);
  const y = floats(outputs[0], rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let i = starts[column]; i < starts[column + 1]; i++) sum += x[row * inner + at[i]] * values[i];
      y[row * columns + column] += sum;
    }
  }
}

/** Reference of {@linkcode LowRankAddSpec}. */
export function lowRankAdd(spec: LowRankAddSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const { rows, columns, inner, rank, weightType } = spec;
  const x = floats(inputs[0], rows * inner);
  const down = decodeFloats(inputs[1], weightType, rank * inner);
  const up = decodeFloats(inputs[2], weightType, columns * rank);
  const y = floats(outputs[0], rows * columns);
  const narrow = new Float64Array(rank);
  for (let row = 0; row < rows; row++) {
    for (let r = 0; r < rank; r++) {
      narrow[r] = 0;
      for (let k = 0; k < inner; k++) narrow[r] += x[row * inner + k] * down[r * inner + k];
    }
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += narrow[r] * up[column * rank + r];
      y[row * columns + column] += sum;
    }
  }
}
