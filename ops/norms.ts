// Row normalizations on a backend.
import { requireColumns } from "./_check.ts";
import { DeviceTensor, runKernel } from "./tensor.ts";

/** Weights of a normalization, each `[1, size]`. */
export interface NormWeights {
  /** Gain. */
  readonly weight: DeviceTensor;
  /** Offset; with it the norm is a layer norm, without it an RMS norm. */
  readonly bias?: DeviceTensor;
  /** Added under the root. */
  readonly epsilon: number;
}

/**
 * Normalizes each row, or each run of `size` columns in it, such as a head: layer norm where there is a bias, RMS norm
 * where there is none.
 *
 * @param x `[rows, columns]`; columns a multiple of the weights' size.
 * @param norm Gain, offset and epsilon.
 * @returns A new tensor of the shape of `x`.
 * @throws {RangeError} If the weights do not fit the columns of `x`.
 */
export async function normalize(x: DeviceTensor, norm: NormWeights): Promise<DeviceTensor> {
  const { weight, bias, epsilon } = norm;
  const { backend } = x;
  const columns = weight.columns;
  const rows = x.rows * (x.columns / columns);
  if (!Number.isInteger(x.columns / columns)) {
    throw new RangeError(
      `Cannot normalize ${x.columns} columns in runs of ${columns}: they must divide evenly`,
    );
  }
  if (bias) requireColumns("normalize", "the offset", bias, columns);
  const y = new DeviceTensor(backend, x.rows, x.columns);
  const inputs = bias ? [x.buffer, weight.buffer, bias.buffer] : [x.buffer, weight.buffer];
  await runKernel(backend, { op: bias ? "layer_norm" : "rms_norm", rows, columns, epsilon }, inputs, [
    y.buffer,
  ]);
  return y;
}
