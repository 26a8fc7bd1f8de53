// A run of rows of a tensor on a device, such as the last one, or those that fit one chunk of logits.
import { type DeviceTensor, gatherRows, uploadBytes } from "../ops/mod.ts";

/** Copies rows `[first, first + count)` of a tensor. */
export async function sliceRows(x: DeviceTensor, first: number, count: number): Promise<DeviceTensor> {
  const { backend, buffer, rows, columns } = x;
  using ids = uploadBytes(backend, Uint32Array.from({ length: count }, (_, i) => first + i));
  const table = { backend, buffer, type: "float32", rows, columns, [Symbol.dispose]: () => {} } as const;
  return await gatherRows(table, ids, count);
}
