// Embedding look-up on a backend.
import type { DeviceBuffer } from "../kernels/mod.ts";
import { DeviceTensor, runKernel, type StoredMatrix } from "./tensor.ts";

/**
 * Picks rows of a table.
 *
 * @param table `[vocabulary, columns]`.
 * @param ids uint32 `[rows]`, each below the vocabulary.
 * @param rows Number of ids.
 * @returns `[rows, columns]`.
 */
export async function gatherRows(
  table: StoredMatrix,
  ids: DeviceBuffer,
  rows: number,
): Promise<DeviceTensor> {
  const { backend, columns, type } = table;
  const y = new DeviceTensor(backend, rows, columns);
  await runKernel(backend, { op: "gather_rows", rows, columns, tableType: type }, [table.buffer, ids], [
    y.buffer,
  ]);
  return y;
}
