// Weight-only product through a table of levels: any number format of at most 8 bits.
import type { CodebookLinearSpec } from "../specs.ts";
import { decodeGroups } from "./_groups.ts";
import { type Bytes, floats } from "./_views.ts";

/** Reference of {@linkcode CodebookLinearSpec}. */
export function codebookLinear(
  spec: CodebookLinearSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const { rows, columns, inner } = spec;
  const x = floats(inputs[0], rows * inner);
  const [, codes, table, scales] = inputs;
  const zeros = spec.zeroPoint ? inputs[4] : undefined;
  const weight = decodeGroups({ ...spec, rows: columns, columns: inner }, { codes, table, scales, zeros });
  const bias = spec.bias ? floats(inputs[spec.zeroPoint ? 5 : 4], columns) : undefined;
  const y = floats(outputs[0], rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += x[row * inner + k] * weight[column * inner + k];
      y[row * columns + column] = sum + (bias ? bias[column] : 0);
    }
  }
}
