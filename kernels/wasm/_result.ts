// What becomes of the float32 sums of a product: nothing, a nonlinearity, float16.
import { encodeArray, float16 } from "../../formats/mod.ts";
import { type Activation, float16RowBytes, type ResultOptions } from "../specs.ts";
import type { Context, Region } from "./_context.ts";

/** Numbers of the nonlinearities in `assembly/elementwise.ts`. */
export const ACTIVATIONS: Readonly<Record<Activation, number>> = { silu: 0, relu: 1, gelu: 2, gelu_tanh: 3 };

const FLOAT16_MAX = 65504;

/**
 * Runs a product and stores its result as a spec asks.
 *
 * @param context What the op may use.
 * @param spec Shape of the result and what becomes of it.
 * @param output The buffer of y.
 * @param product Runs the product, bias included, into float32 rows without padding at an address.
 */
export function withResult(
  context: Context,
  spec: { readonly rows: number; readonly columns: number } & ResultOptions,
  output: Region,
  product: (y: number) => void,
): void {
  const { rows, columns, activation, resultType } = spec;
  const count = rows * columns;
  const y = resultType === "float16" ? context.temporary(count * 4) : output.address;
  product(y);
  if (activation !== undefined) {
    const work = { units: Math.ceil(count / 4), cost: 200 };
    context.run("activation", work, [y, y, count, ACTIVATIONS[activation]]);
  }
  if (resultType !== "float16") return;
  const words = float16RowBytes(columns) / 4;
  for (let row = 0; row < rows; row++) {
    const values = Float32Array.from(
      context.floats(y + row * columns * 4, columns),
      (value) => Math.min(Math.max(value, -FLOAT16_MAX), FLOAT16_MAX),
    );
    const halves = new Uint16Array(words * 2);
    halves.set(encodeArray(float16, values));
    context.writeIntegers(output.address + row * words * 4, new Uint32Array(halves.buffer));
  }
}
