// What the GGUF block formats share: little-endian float16 scales, and nibbles that pair element j with j + half.
import { float16 } from "./floats.ts";

const fround = Math.fround;

export function readHalf(bytes: Uint8Array<ArrayBufferLike>, at: number): number {
  return float16.decode(bytes[at] | (bytes[at + 1] << 8));
}

/** Stores a float16 without saturation, as C does, and gives back what was stored. */
export function writeHalf(bytes: Uint8Array<ArrayBuffer>, at: number, value: number): number {
  const code = float16.encode(value, { saturate: false });
  bytes[at] = code;
  bytes[at + 1] = code >>> 8;
  return float16.decode(code);
}

/** Byte `at + j` holds code j in its low nibble and code `j + half` in its high one; codes may have more than 4 bits. */
export function writeHalves(
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
  codes: ArrayLike<number>,
  half = 16,
): void {
  for (let j = 0; j < half; j++) bytes[at + j] = (codes[j] & 15) | ((codes[j + half] & 15) << 4);
}

/** The code of element `i` among `2 * half` written by {@linkcode writeHalves}. */
export function readHalves(bytes: Uint8Array<ArrayBufferLike>, at: number, i: number, half = 16): number {
  return i < half ? bytes[at + i] & 15 : bytes[at + i - half] >>> 4;
}

/** `1 / value` in float32, or 0 for 0. */
export function reciprocal(value: number): number {
  return value === 0 ? 0 : fround(1 / value);
}

/** The value of largest magnitude with its sign, the first of equals; 0 of no values. */
export function signedExtreme(values: ArrayLike<number>): number {
  let extreme = 0;
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i]) > Math.abs(extreme)) extreme = values[i];
  }
  return extreme;
}
