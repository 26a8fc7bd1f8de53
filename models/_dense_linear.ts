// Host weights as a dense layer on a backend.
import type { Backend } from "../kernels/mod.ts";
import { DenseLinear, uploadBytes, uploadStored } from "../ops/mod.ts";
import type { LinearParameters } from "../quant/mod.ts";

/** Copies a layer to a backend, in float32. */
export function denseLinear(backend: Backend, { weight, bias }: LinearParameters): DenseLinear {
  const { data, rows, cols } = weight;
  const stored = uploadStored(backend, { data, type: "float32", rows, columns: cols });
  return new DenseLinear(stored, bias && uploadBytes(backend, bias));
}
