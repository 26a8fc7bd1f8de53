// Row normalizations on a backend.
import { requireColumns } from "./_check.ts";
import { DeviceTensor, runKernel } from "./tensor.ts";

/** Weights of a normalization, each `[1, columns]`. */
export interface NormWeights {
  /** Gain. */
  readonly weight: DeviceTensor;
  /** Offset; with it the norm is a layer norm, without it an RMS norm. */
  readonly bias?: DeviceTensor;
  /** Added under the root. */
  readonly epsilon: number;
}

/**
 * Normalizes each row: layer norm where there is a bias, RMS norm where there is none.
 *
 * @param x `[rows, columns]`.
 * @param norm Gain, offset and epsilon.
 * @returns A new tensor of the shape of `x`.
 * @throws {RangeError} If the weights do not fit the columns of `x`.
 */
export async function normalize(x: DeviceTensor, norm: NormWeights): Promise<DeviceTensor> {
  const { weight, bias, epsilon } = norm;
  const { backend, rows, columns } = x;
  requireColumns("normalize", "the gain", weight, columns);
  if (bias) requireColumns("normalize", "the offset", bias, columns);
  const y = new DeviceTensor(backend, rows, columns);
  const inputs = bias ? [x.buffer, weight.buffer, bias.buffer] : [x.buffer, weight.buffer];
  await runKernel(backend, { op: bias ? "layer_norm" : "rms_norm", rows, columns, epsilon }, inputs, [
    y.buffer,
  ]);
  return y;
}
