// How the products find their input.
import { decodeArray, float16 } from "../../formats/mod.ts";
import { float16RowBytes, type InputOptions } from "../specs.ts";
import { type Bytes, floats } from "./_views.ts";

/**
 * The input of a product as float32 rows without padding.
 *
 * @param spec Its shape and storage type.
 * @param bytes The bytes of x.
 */
export function readInput(
  { rows, inner, inputType }: { readonly rows: number; readonly inner: number } & InputOptions,
  bytes: Bytes,
): Float32Array<ArrayBuffer> {
  if (inputType !== "float16") return floats(bytes, rows * inner);
  const x = new Float32Array(rows * inner);
  for (let row = 0; row < rows; row++) {
    const halves = new Uint16Array(bytes, row * float16RowBytes(inner), inner);
    x.set(decodeArray(float16, halves), row * inner);
  }
  return x;
}
