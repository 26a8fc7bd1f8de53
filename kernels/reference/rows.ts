// Moving rows: embedding look-up and cache growth.
import type { GatherRowsSpec, ScatterRowsSpec } from "../specs.ts";
import { type Bytes, decodeFloats, floats, indices } from "./_views.ts";

/** Reference of {@linkcode GatherRowsSpec}. */
export function gatherRows(spec: GatherRowsSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const { rows, columns, tableType } = spec;
  const ids = indices(inputs[1], rows);
  const y = floats(outputs[0], rows * columns);
  const rowBytes = columns * (tableType === "float32" ? 4 : 2);
  for (let row = 0; row < rows; row++) {
    const bytes = inputs[0].slice(ids[row] * rowBytes, (ids[row] + 1) * rowBytes);
    y.set(decodeFloats(bytes, tableType, columns), row * columns);
  }
}

/** Reference of {@linkcode ScatterRowsSpec}. */
export function scatterRows(
  spec: ScatterRowsSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const { rows, columns } = spec;
  const source = floats(inputs[0], rows * columns);
  const positions = indices(inputs[1], rows);
  for (let row = 0; row < rows; row++) {
    const target = new Float32Array(outputs[0], positions[row] * columns * 4, columns);
    target.set(source.subarray(row * columns, (row + 1) * columns));
  }
}
