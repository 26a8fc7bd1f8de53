// QUIK's activation quantization, kernel form: per token, asymmetric with a float zero, over the base columns.
// Every step is rounded to float32, so that codes are defined to the last tie.
import { encodeArray, float16, roundHalfEven } from "../../formats/mod.ts";
import { float16RowBytes, MIN_ACTIVATION_SCALE, type QuantizeActivationsSpec } from "../specs.ts";
import { writeCodeRow } from "./_codes.ts";
import { type Bytes, floats, indices } from "./_views.ts";

const FLOAT16_MAX = 65504;

/** Reference of {@linkcode QuantizeActivationsSpec}. */
export function quantizeActivations(
  spec: QuantizeActivationsSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const { rows, columns, outliers, bits } = spec;
  const x = floats(inputs[0], rows * columns);
  const baseColumns = indices(inputs[1], columns - outliers);
  const outlierColumns = indices(inputs[2], outliers);
  const qparams = floats(outputs[1], rows * 2);
  for (let row = 0; row < rows; row++) {
    const values = x.subarray(row * columns, (row + 1) * columns);
    const { codes, scale, zero } = quantizeRow(gather(values, baseColumns), bits);
    writeCodeRow(outputs[0], row, codes, bits);
    qparams[row * 2] = scale;
    qparams[row * 2 + 1] = zero;
    writeOutlierRow(outputs[2], row, gather(values, outlierColumns));
  }
}

/** Scale, zero and signed codes of one token. */
export function quantizeRow(
  values: Float32Array<ArrayBuffer>,
  bits: number,
): { codes: Int8Array<ArrayBuffer>; scale: number; zero: number } {
  const steps = 2 ** bits - 1;
  const half = 2 ** (bits - 1);
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (values.length === 0) low = high = 0;
  const scale = Math.max(Math.fround(Math.fround(high - low) / steps), Math.fround(MIN_ACTIVATION_SCALE));
  const codes = new Int8Array(values.length);
  for (let k = 0; k < values.length; k++) {
    const level = roundHalfEven(Math.fround(Math.fround(values[k] - low) / scale));
    codes[k] = Math.min(Math.max(level, 0), steps) - half;
  }
  return { codes, scale, zero: low };
}

function gather(
  values: Float32Array<ArrayBuffer>,
  columns: Uint32Array<ArrayBuffer>,
): Float32Array<ArrayBuffer> {
  const picked = new Float32Array(columns.length);
  for (let i = 0; i < columns.length; i++) picked[i] = values[columns[i]];
  return picked;
}

function writeOutlierRow(bytes: Bytes, row: number, values: Float32Array<ArrayBuffer>): void {
  const stride = float16RowBytes(values.length) / 2;
  const target = new Uint16Array(bytes, row * stride * 2, stride);
  target.fill(0);
  target.set(
    encodeArray(float16, values.map((value) => Math.min(Math.max(value, -FLOAT16_MAX), FLOAT16_MAX))),
  );
}
