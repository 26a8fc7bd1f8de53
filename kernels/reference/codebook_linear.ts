// Weight-only product through a table of levels: any number format of at most 8 bits.
import { type CodebookLinearSpec, packedRowBytes } from "../specs.ts";
import { type Bytes, decodeFloats, floats } from "./_views.ts";

/** Reference of {@linkcode CodebookLinearSpec}. */
export function codebookLinear(
  spec: CodebookLinearSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const { rows, columns, inner } = spec;
  const x = floats(inputs[0], rows * inner);
  const weight = decodeWeight(spec, inputs);
  const bias = spec.bias ? floats(inputs[spec.zeroPoint ? 5 : 4], columns) : undefined;
  const y = floats(outputs[0], rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += x[row * inner + k] * weight[column * inner + k];
      y[row * columns + column] = sum + (bias ? bias[column] : 0);
    }
  }
}

/** The dequantized weight `[columns, inner]`, in float64: `(table[code] - zero) * scale`. */
function decodeWeight(spec: CodebookLinearSpec, inputs: readonly Bytes[]): Float64Array<ArrayBuffer> {
  const { columns, inner, bits, groupSize } = spec;
  const groups = Math.ceil(inner / groupSize);
  const stride = packedRowBytes(inner, bits);
  const packed = new Uint8Array(inputs[1], 0, columns * stride);
  const table = floats(inputs[2], 1 << bits);
  const scales = decodeFloats(inputs[3], spec.scaleType, columns * groups);
  const zeros = spec.zeroPoint ? floats(inputs[4], columns * groups) : undefined;
  const weight = new Float64Array(columns * inner);
  for (let column = 0; column < columns; column++) {
    for (let k = 0; k < inner; k++) {
      const group = column * groups + Math.floor(k / groupSize);
      const code = readBits(packed, column * stride * 8 + k * bits, bits);
      weight[column * inner + k] = (table[code] - (zeros ? zeros[group] : 0)) * scales[group];
    }
  }
  return weight;
}

function readBits(packed: Uint8Array<ArrayBuffer>, bit: number, bits: number): number {
  const byte = bit >> 3;
  const pair = packed[byte] | (byte + 1 < packed.length ? packed[byte + 1] << 8 : 0);
  return (pair >> (bit & 7)) & ((1 << bits) - 1);
}
