// GPTQ's two halves: the factor of the inverse Hessian, and the sweep over the columns, in float64.
import { createMatrix64, inverseUpperFactor } from "../../quant/mod.ts";
import type { GptqSweepSpec, InverseFactorSpec } from "../quantization_specs.ts";
import { packedRowBytes } from "../specs.ts";
import { countAtOrBelow } from "./_groups.ts";
import { type Bytes, floats, indices } from "./_views.ts";

/** Reference of {@linkcode InverseFactorSpec}. */
export function inverseFactor(
  { size }: InverseFactorSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const hessian = floats(inputs[0], size * size);
  const order = indices(inputs[1], size);
  const [damping] = floats(inputs[2], 1);
  const damped = createMatrix64(size, size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      const value = hessian[order[i] * size + order[j]];
      damped.data[i * size + j] = i === j ? (value === 0 ? 1 : value) + damping : value;
    }
  }
  const pivots = floats(outputs[1], size).fill(NaN);
  try {
    const factor = inverseUpperFactor(damped);
    floats(outputs[0], size * size).set(factor.data);
    for (let i = 0; i < size; i++) pivots[i] = factor.data[i * size + i] ** -2;
  } catch (error) {
    // A matrix that is not positive definite is a result here: its pivots say so.
    if (!(error instanceof RangeError)) throw error;
  }
}

/** Reference of {@linkcode GptqSweepSpec}. */
export function gptqSweep(spec: GptqSweepSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const { rows, columns, base, groups, bits } = spec;
  const factor = floats(inputs[0], columns * columns);
  const columnGroups = indices(inputs[1], base);
  const scales = floats(inputs[2], rows * groups);
  const zeros = floats(inputs[3], rows * groups);
  const thresholds = floats(inputs[4], 2 ** bits - 1);
  const codeTable = indices(inputs[5], 2 ** bits);
  const table = floats(inputs[6], 2 ** bits);
  const weight = floats(outputs[0], rows * columns);
  const stride = packedRowBytes(base, 8);
  const codes = new Uint8Array(outputs[1], 0, rows * stride).fill(0);
  const loss = floats(outputs[2], rows);
  for (let row = 0; row < rows; row++) {
    const line = Float64Array.from(weight.subarray(row * columns, (row + 1) * columns));
    let squares = 0;
    for (let k = 0; k < base; k++) {
      const scale = scales[row * groups + columnGroups[k]];
      const zero = zeros[row * groups + columnGroups[k]];
      const code = codeTable[countAtOrBelow(thresholds, Math.fround(Math.fround(line[k] / scale) + zero))];
      const rounded = Math.fround((table[code] - zero) * scale);
      const error = (line[k] - rounded) / factor[k * columns + k];
      for (let j = k + 1; j < columns; j++) line[j] -= error * factor[k * columns + j];
      line[k] = rounded;
      codes[row * stride + k] = code;
      squares += error * error;
    }
    weight.set(line, row * columns);
    loss[row] = squares / 2;
  }
}
