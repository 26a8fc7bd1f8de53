// Random inputs of each op, in the layout that its spec documents.
import { encodeArray, float16 } from "../../formats/mod.ts";
import { float16RowBytes, type FloatType, packedRowBytes } from "../../kernels/specs.ts";
import type { Random } from "../../quant/mod.ts";

/** Normal float32 values. */
export function normals(random: Random, count: number, scale = 1): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, () => random.normal() * scale);
}

/** Normal values in a storage type. */
export function storedNormals(random: Random, count: number, type: FloatType): ArrayBufferView<ArrayBuffer> {
  const values = normals(random, count);
  if (type === "float32") return values;
  if (type === "float16") return Uint16Array.from(encodeArray(float16, values));
  return Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
}

/** Rows of random signed codes over the whole range, padding zero. */
export function codeRows(random: Random, rows: number, count: number, bits: number): Uint8Array<ArrayBuffer> {
  const stride = packedRowBytes(count, bits);
  const packed = new Uint8Array(rows * stride);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < count; k++) {
      const code = random.integer(1 << bits);
      const bit = k * bits;
      packed[row * stride + (bit >> 3)] |= code << (bit & 7);
      if ((bit & 7) + bits > 8) packed[row * stride + (bit >> 3) + 1] |= code >> (8 - (bit & 7));
    }
  }
  return packed;
}

/** Rows of random float16 values, padding zero. */
export function halfRows(random: Random, rows: number, count: number): Uint16Array<ArrayBuffer> {
  const stride = float16RowBytes(count) / 2;
  const values = new Uint16Array(rows * stride);
  for (let row = 0; row < rows; row++) {
    values.set(encodeArray(float16, normals(random, count)), row * stride);
  }
  return values;
}

/** `count` random integers below `limit`. */
export function integers(random: Random, count: number, limit: number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: count }, () => random.integer(limit));
}

/** Splits `0..columns-1` into ascending base and outlier columns at random. */
export function splitColumns(
  random: Random,
  columns: number,
  outliers: number,
): { base: Uint32Array<ArrayBuffer>; outlier: Uint32Array<ArrayBuffer> } {
  const order = Array.from({ length: columns }, (_, i) => i);
  for (let i = columns - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  const ascending = (list: number[]) => Uint32Array.from(list.sort((a, b) => a - b));
  return { outlier: ascending(order.slice(0, outliers)), base: ascending(order.slice(outliers)) };
}
