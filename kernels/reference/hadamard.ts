// The Hadamard rotation and its inverse, row by row in float64.
import type { HadamardSpec } from "../quantization_specs.ts";
import { walshHadamard } from "../../quant/mod.ts";
import { type Bytes, floats } from "./_views.ts";

/** Reference of {@linkcode HadamardSpec}. */
export function hadamardTransform(
  spec: HadamardSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const { rows, columns, blockSize, order, inverse } = spec;
  const x = floats(inputs[0], rows * columns);
  const matrix = order > 1 ? floats(inputs[1], order * order) : Float32Array.of(1);
  const signs = spec.signs ? floats(inputs[order > 1 ? 2 : 1], columns) : new Float32Array(columns).fill(1);
  const y = floats(outputs[0], rows * columns);
  const scale = 1 / Math.sqrt(blockSize);
  for (let at = 0; at < rows * columns; at += blockSize) {
    const block = Float64Array.from(x.subarray(at, at + blockSize));
    const sign = (j: number) => signs[(at + j) % columns];
    if (!inverse) block.forEach((value, j) => block[j] = value * sign(j));
    const mixed = mix(block, matrix, order, inverse);
    mixed.forEach((value, j) => y[at + j] = value * scale * (inverse ? sign(j) : 1));
  }
}

/** The block, seen as `[order, n]`: every row transformed, then the rows combined by the explicit matrix. */
function mix(
  block: Float64Array,
  matrix: Float32Array,
  order: number,
  transposed: boolean,
): Float64Array {
  const n = block.length / order;
  for (let part = 0; part < order; part++) walshHadamard(block.subarray(part * n, (part + 1) * n));
  const mixed = new Float64Array(block.length);
  for (let from = 0; from < order; from++) {
    for (let to = 0; to < order; to++) {
      const sign = transposed ? matrix[to * order + from] : matrix[from * order + to];
      for (let i = 0; i < n; i++) mixed[to * n + i] += sign * block[from * n + i];
    }
  }
  return mixed;
}
