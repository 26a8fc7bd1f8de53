// Codes of any format of at most 8 bits, in packed rows with group scales.
import { packedRowBytes, type ScaleType } from "../specs.ts";
import { type Bytes, decodeFloats, floats } from "./_views.ts";

/** A packed matrix. */
export interface PackedGroups {
  readonly rows: number;
  readonly columns: number;
  readonly bits: number;
  readonly groupSize: number;
  readonly scaleType: ScaleType;
}

/** The dequantized matrix, in float64: `(table[code] - zero) * scale`. */
export function decodeGroups(
  { rows, columns, bits, groupSize, scaleType }: PackedGroups,
  buffers: { codes: Bytes; table: Bytes; scales: Bytes; zeros?: Bytes },
): Float64Array<ArrayBuffer> {
  const groups = Math.ceil(columns / groupSize);
  const stride = packedRowBytes(columns, bits);
  const packed = new Uint8Array(buffers.codes, 0, rows * stride);
  const table = floats(buffers.table, 1 << bits);
  const scales = decodeFloats(buffers.scales, scaleType, rows * groups);
  const zeros = buffers.zeros ? floats(buffers.zeros, rows * groups) : undefined;
  const weight = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < columns; k++) {
      const group = row * groups + Math.floor(k / groupSize);
      const code = readBits(packed, row * stride * 8 + k * bits, bits);
      weight[row * columns + k] = (table[code] - (zeros ? zeros[group] : 0)) * scales[group];
    }
  }
  return weight;
}

/** Code at a bit offset of a dense little-endian stream. */
export function readBits(packed: Uint8Array<ArrayBuffer>, bit: number, bits: number): number {
  const byte = bit >> 3;
  const pair = packed[byte] | (byte + 1 < packed.length ? packed[byte + 1] << 8 : 0);
  return (pair >> (bit & 7)) & ((1 << bits) - 1);
}

/** Writes one row of unsigned codes, low bits first, padding included. */
export function writeBits(packed: Uint8Array<ArrayBuffer>, codes: ArrayLike<number>, bits: number): void {
  packed.fill(0);
  for (let k = 0; k < codes.length; k++) {
    const bit = k * bits;
    packed[bit >> 3] |= codes[k] << (bit & 7);
    if ((bit & 7) + bits > 8) packed[(bit >> 3) + 1] |= codes[k] >> (8 - (bit & 7));
  }
}

/** Number of ascending thresholds at or below a value. */
export function countAtOrBelow(thresholds: Float32Array, value: number): number {
  let count = 0;
  while (count < thresholds.length && thresholds[count] <= value) count++;
  return count;
}
