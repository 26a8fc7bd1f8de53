// FBGEMM's two integer products: the static affine pipeline and the product with large weights kept apart.
import { roundHalfEven } from "../../formats/mod.ts";
import type { AffineLinearSpec, OutlierMatmulSpec } from "../fbgemm_specs.ts";
import { packedRowBytes } from "../specs.ts";
import { readCodes } from "./_codes.ts";
import { type Bytes, floats, indices } from "./_views.ts";

/** Reference of {@linkcode AffineLinearSpec}. */
export function affineLinear(
  spec: AffineLinearSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const { rows, columns, inner } = spec;
  const x = floats(inputs[0], rows * inner);
  const [inputScale, inputZero, outputScale, outputZero] = floats(inputs[1], 4);
  const weight = readCodes(inputs[2], columns, inner, 8);
  const weightScale = floats(inputs[3], columns);
  const weightZero = new Int32Array(inputs[4], 0, columns);
  const bias = spec.bias ? floats(inputs[6], columns) : undefined;
  const quantize = (value: number, scale: number, zero: number) =>
    Math.min(Math.max(roundHalfEven(Math.fround(value / scale)) + zero, 0), 255);
  const q = Int32Array.from(x, (value) => quantize(value, inputScale, inputZero) - inputZero);
  const stride = packedRowBytes(columns, 8);
  const codes = new Uint8Array(outputs[0]);
  for (let row = 0; row < rows; row++) {
    if (spec.outputType === "uint8") codes.fill(0, row * stride, (row + 1) * stride);
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) {
        sum += q[row * inner + k] * (weight[column * inner + k] - weightZero[column]);
      }
      const multiplier = Math.fround(inputScale * weightScale[column]);
      let value = Math.fround(Math.fround(sum) * multiplier);
      if (bias) value = Math.fround(value + bias[column]);
      if (spec.outputType === "uint8") {
        codes[row * stride + column] = quantize(value, outputScale, outputZero);
      } else floats(outputs[0], rows * columns)[row * columns + column] = value;
    }
  }
}

/** Reference of {@linkcode OutlierMatmulSpec}. */
export function outlierMatmul(
  spec: OutlierMatmulSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const { rows, columns, inner, remainders } = spec;
  const codes = readCodes(inputs[0], rows, inner, 8);
  const main = readCodes(inputs[1], columns, inner, 8);
  const starts = indices(inputs[2], columns + 1);
  const positions = indices(inputs[3], remainders);
  const values = new Int32Array(inputs[4], 0, remainders);
  const accumulators = new Int32Array(outputs[0], 0, rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += codes[row * inner + k] * main[column * inner + k];
      for (let i = starts[column]; i < starts[column + 1]; i++) {
        sum += codes[row * inner + positions[i]] * values[i];
      }
      accumulators[row * columns + column] = sum;
    }
  }
}
