// What calibration and evaluation sum over tokens, on a backend.
import type { DeviceBuffer } from "../kernels/mod.ts";
import { requireColumns } from "./_check.ts";
import { DeviceTensor, runKernel } from "./tensor.ts";

/**
 * Adds `x^T x` to `sum` in place.
 *
 * @param x `[rows, columns]`.
 * @param sum `[columns, columns]`.
 * @throws {RangeError} If `sum` does not fit.
 */
export async function accumulateGram(x: DeviceTensor, sum: DeviceTensor): Promise<void> {
  requireColumns("accumulate x^T x", "the sum", sum, x.columns);
  await runKernel(x.backend, { op: "gram", rows: x.rows, columns: x.columns }, [x.buffer], [sum.buffer]);
}

/**
 * Raises `absmax` to the largest magnitude of each column of `x`, in place.
 *
 * @param x `[rows, columns]`.
 * @param absmax `[1, columns]`, zeros at first.
 * @throws {RangeError} If `absmax` does not fit.
 */
export async function accumulateAbsmax(x: DeviceTensor, absmax: DeviceTensor): Promise<void> {
  requireColumns("accumulate column maxima", "the maxima", absmax, x.columns);
  await runKernel(x.backend, { op: "column_absmax", rows: x.rows, columns: x.columns }, [x.buffer], [
    absmax.buffer,
  ]);
}

/**
 * The negative log-likelihood of each row's target token.
 *
 * @param logits `[rows, vocabulary]`.
 * @param targets uint32 `[rows]`, each below the vocabulary.
 * @returns `[rows, 1]`, in nats.
 */
export async function tokenNll(logits: DeviceTensor, targets: DeviceBuffer): Promise<DeviceTensor> {
  const { backend, rows, columns } = logits;
  const nll = new DeviceTensor(backend, rows, 1);
  await runKernel(backend, { op: "token_nll", rows, columns }, [logits.buffer, targets], [nll.buffer]);
  return nll;
}

/**
 * The likeliest token of each row, on the device: the lowest id of the largest logit.
 *
 * @param logits `[rows, vocabulary]`.
 * @returns uint32 `[rows]`; the caller frees it.
 */
export async function argmaxRows(logits: DeviceTensor): Promise<DeviceBuffer> {
  const { backend, rows, columns } = logits;
  const ids = backend.allocate(rows * 4);
  await runKernel(backend, { op: "argmax", rows, columns }, [logits.buffer], [ids]);
  return ids;
}
