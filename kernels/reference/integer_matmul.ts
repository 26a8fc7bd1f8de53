// The integer product, exact in int32, and QUIK's product with its epilogue, computed in float64 and rounded once.
import { decodeArray, float16 } from "../../formats/mod.ts";
import { float16RowBytes, type IntegerMatmulSpec, type QuikLinearSpec } from "../specs.ts";
import { readCodes } from "./_codes.ts";
import { storeResult } from "./_result.ts";
import { type Bytes, floats } from "./_views.ts";

/** Reference of {@linkcode IntegerMatmulSpec}. */
export function integerMatmul(
  spec: IntegerMatmulSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  new Int32Array(outputs[0], 0, spec.rows * spec.columns).set(accumulate(spec, inputs[0], inputs[1]));
}

/** Reference of {@linkcode QuikLinearSpec}. */
export function quikLinear(spec: QuikLinearSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const { rows, columns, outliers } = spec;
  const accumulators = accumulate(spec, inputs[0], inputs[3]);
  const qparams = floats(inputs[1], rows * 2);
  const outlierValues = readHalfRows(inputs[2], rows, outliers);
  const weightScales = floats(inputs[4], columns);
  const reduced = floats(inputs[5], columns);
  const outlierWeight = readHalfRows(inputs[6], columns, outliers);
  const bias = spec.bias ? floats(inputs[7], columns) : undefined;
  const y = new Float64Array(rows * columns);
  const half = 2 ** (spec.activationBits - 1);
  for (let row = 0; row < rows; row++) {
    const scale = qparams[row * 2];
    // The value of code 0, which every base weight multiplies once.
    const shift = qparams[row * 2 + 1] + half * scale;
    for (let column = 0; column < columns; column++) {
      let sum = accumulators[row * columns + column] * scale * weightScales[column] + shift * reduced[column];
      for (let k = 0; k < outliers; k++) {
        sum += outlierValues[row * outliers + k] * outlierWeight[column * outliers + k];
      }
      y[row * columns + column] = sum + (bias ? bias[column] : 0);
    }
  }
  storeResult(spec, y, outputs[0]);
}

function accumulate(
  spec: IntegerMatmulSpec | QuikLinearSpec,
  codeBytes: Bytes,
  weightBytes: Bytes,
): Int32Array<ArrayBuffer> {
  const { rows, columns, inner } = spec;
  const codes = readCodes(codeBytes, rows, inner, spec.activationBits);
  const weight = readCodes(weightBytes, columns, inner, spec.weightBits);
  const accumulators = new Int32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += codes[row * inner + k] * weight[column * inner + k];
      accumulators[row * columns + column] = sum;
    }
  }
  return accumulators;
}

function readHalfRows(bytes: Bytes, rows: number, count: number): Float32Array<ArrayBuffer> {
  const stride = float16RowBytes(count) / 2;
  const values = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++) {
    values.set(decodeArray(float16, new Uint16Array(bytes, row * stride * 2, count)), row * count);
  }
  return values;
}
