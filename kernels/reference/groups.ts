// Symmetric quantization in groups through any format, back again, and the integer product of group-scaled codes.
import type { DequantizeGroupsSpec, GroupedLinearSpec, QuantizeGroupsSpec } from "../quantization_specs.ts";
import { packedRowBytes } from "../specs.ts";
import { readCodes } from "./_codes.ts";
import { countAtOrBelow, decodeGroups, writeBits } from "./_groups.ts";
import { storeResult } from "./_result.ts";
import { type Bytes, floats, indices } from "./_views.ts";

const MIN_SCALE = 2 ** -126;

/** Reference of {@linkcode QuantizeGroupsSpec}. */
export function quantizeGroups(
  spec: QuantizeGroupsSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const { rows, columns, groupSize, bits, limit } = spec;
  const x = floats(inputs[0], rows * columns);
  const thresholds = floats(inputs[1], 2 ** bits - 1);
  const table = indices(inputs[2], 2 ** bits);
  const groups = Math.ceil(columns / groupSize);
  const scales = floats(outputs[1], rows * groups);
  const stride = packedRowBytes(columns, bits);
  const codes = new Uint8Array(columns);
  for (let row = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) {
      const start = group * groupSize;
      const values = x.subarray(row * columns + start, row * columns + Math.min(start + groupSize, columns));
      const absmax = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const scale = Math.max(Math.fround(absmax / Math.fround(limit)), MIN_SCALE);
      scales[row * groups + group] = scale;
      for (let k = 0; k < values.length; k++) {
        codes[start + k] = table[countAtOrBelow(thresholds, Math.fround(values[k] / scale))];
      }
    }
    writeBits(new Uint8Array(outputs[0], row * stride, stride), codes, bits);
  }
}

/** Reference of {@linkcode DequantizeGroupsSpec}. */
export function dequantizeGroups(
  spec: DequantizeGroupsSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const [codes, table, scales] = inputs;
  const zeros = spec.zeroPoint ? inputs[3] : undefined;
  floats(outputs[0], spec.rows * spec.columns).set(decodeGroups(spec, { codes, table, scales, zeros }));
}

/** Reference of {@linkcode GroupedLinearSpec}. */
export function groupedLinear(
  spec: GroupedLinearSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const { rows, columns, inner, groupSize, activationBits, weightBits } = spec;
  const groups = Math.ceil(inner / groupSize);
  const codes = readCodes(inputs[0], rows, inner, activationBits);
  const scales = floats(inputs[1], rows * groups);
  const weight = readCodes(inputs[2], columns, inner, weightBits);
  const weightScales = floats(inputs[3], columns * groups);
  const bias = spec.bias ? floats(inputs[4], columns) : undefined;
  const y = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = bias ? bias[column] : 0;
      for (let group = 0; group < groups; group++) {
        let exact = 0;
        for (let k = group * groupSize; k < Math.min((group + 1) * groupSize, inner); k++) {
          exact += codes[row * inner + k] * weight[column * inner + k];
        }
        sum += exact * scales[row * groups + group] * weightScales[column * groups + group];
      }
      y[row * columns + column] = sum;
    }
  }
  storeResult(spec, y, outputs[0]);
}
