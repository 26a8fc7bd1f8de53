// How the products find their input.
import { decodeArray, float16 } from "../../formats/mod.ts";
import { float16RowBytes, type InputOptions } from "../specs.ts";
import type { Context, Region } from "./_context.ts";

/**
 * The address of a product's input as float32 rows without padding: its own, or that of a widened copy.
 *
 * @param context What the op may use.
 * @param spec Shape and storage type of x.
 * @param input The buffer of x.
 */
export function widenedInput(
  context: Context,
  { rows, inner, inputType }: { readonly rows: number; readonly inner: number } & InputOptions,
  input: Region,
): number {
  if (inputType !== "float16") return input.address;
  const address = context.temporary(rows * inner * 4);
  const words = float16RowBytes(inner) / 4;
  const stored = context.indices(input, rows * words);
  for (let row = 0; row < rows; row++) {
    const halves = new Uint16Array(stored.buffer, stored.byteOffset + row * words * 4, inner);
    context.floats(address + row * inner * 4, inner).set(decodeArray(float16, halves));
  }
  return address;
}
