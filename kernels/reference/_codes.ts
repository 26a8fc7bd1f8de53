// Signed 4- and 8-bit codes in device rows: low nibble first, each row padded with zeros to 16 bytes.
import { type CodeBits, packedRowBytes } from "../specs.ts";
import type { Bytes } from "./_views.ts";

/** Unpacks `rows` rows of `count` signed codes into one dense array. */
export function readCodes(bytes: Bytes, rows: number, count: number, bits: CodeBits): Int8Array<ArrayBuffer> {
  const stride = packedRowBytes(count, bits);
  const packed = new Int8Array(bytes, 0, rows * stride);
  const codes = new Int8Array(rows * count);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < count; k++) {
      const at = row * stride;
      // Shifting left and then right extends the sign of a nibble.
      codes[row * count + k] = bits === 8
        ? packed[at + k]
        : (k & 1) === 0
        ? (packed[at + (k >> 1)] << 28) >> 28
        : packed[at + (k >> 1)] >> 4;
    }
  }
  return codes;
}

/** Packs one row of signed codes into `bytes`, padding included. */
export function writeCodeRow(bytes: Bytes, row: number, codes: Int8Array<ArrayBuffer>, bits: CodeBits): void {
  const stride = packedRowBytes(codes.length, bits);
  const packed = new Uint8Array(bytes, row * stride, stride);
  packed.fill(0);
  for (let k = 0; k < codes.length; k++) {
    if (bits === 8) packed[k] = codes[k];
    else packed[k >> 1] |= (codes[k] & 15) << ((k & 1) * 4);
  }
}
