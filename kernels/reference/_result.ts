// How the products store what they summed.
import { encodeArray, float16 } from "../../formats/mod.ts";
import { float16RowBytes, type ResultOptions } from "../specs.ts";
import { type Bytes, floats } from "./_views.ts";
import { ACTIVATIONS } from "./elementwise.ts";

const FLOAT16_MAX = 65504;

/**
 * Stores sums in float64, bias included, as a spec asks: through the nonlinearity, rounded to float32, then to float16.
 *
 * @param spec Shape of the result and what becomes of it.
 * @param sums `[rows, columns]`.
 * @param output The bytes of y.
 */
export function storeResult(
  spec: { readonly rows: number; readonly columns: number } & ResultOptions,
  sums: Float64Array,
  output: Bytes,
): void {
  const { rows, columns, activation, resultType } = spec;
  const values = activation === undefined ? sums : sums.map(ACTIVATIONS[activation]);
  if (resultType !== "float16") return floats(output, rows * columns).set(values);
  const stride = float16RowBytes(columns) / 2;
  const halves = new Uint16Array(output, 0, rows * stride).fill(0);
  for (let row = 0; row < rows; row++) {
    const saturated = Float32Array.from(
      values.subarray(row * columns, (row + 1) * columns),
      (value) => Math.min(Math.max(value, -FLOAT16_MAX), FLOAT16_MAX),
    );
    halves.set(encodeArray(float16, saturated), row * stride);
  }
}
