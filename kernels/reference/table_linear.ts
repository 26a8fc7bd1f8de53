// Weight-only product with a table of values per group of a row.
import type { TableLinearSpec } from "../quantization_specs.ts";
import { packedRowBytes } from "../specs.ts";
import { readBits } from "./_groups.ts";
import { type Bytes, floats } from "./_views.ts";

/** Reference of {@linkcode TableLinearSpec}. */
export function tableLinear(
  spec: TableLinearSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const { rows, columns, inner, bits, groupSize } = spec;
  const groups = Math.ceil(inner / groupSize);
  const stride = packedRowBytes(inner, bits);
  const x = floats(inputs[0], rows * inner);
  const packed = new Uint8Array(inputs[1], 0, columns * stride);
  const tables = floats(inputs[2], columns * groups * 2 ** bits);
  const bias = spec.bias ? floats(inputs[3], columns) : undefined;
  const y = floats(outputs[0], rows * columns);
  const weight = new Float32Array(inner);
  for (let column = 0; column < columns; column++) {
    for (let k = 0; k < inner; k++) {
      const table = (column * groups + Math.floor(k / groupSize)) * 2 ** bits;
      weight[k] = tables[table + readBits(packed, column * stride * 8 + k * bits, bits)];
    }
    for (let row = 0; row < rows; row++) {
      let sum = bias ? bias[column] : 0;
      for (let k = 0; k < inner; k++) sum += x[row * inner + k] * weight[k];
      y[row * columns + column] = sum;
    }
  }
}
