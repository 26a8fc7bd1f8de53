// Attention over a KV cache on a backend.
import type { Backend, DeviceBuffer } from "../kernels/mod.ts";
import { requireColumns } from "./_check.ts";
import { DeviceTensor, runKernel } from "./tensor.ts";

/** Keys and values of one layer, for up to `capacity` positions. */
export class KvCache implements Disposable {
  /** Keys `[capacity, kvHeads * headSize]`, rotated. */
  readonly keys: DeviceTensor;
  /** Values, the same shape. */
  readonly values: DeviceTensor;

  /** Takes memory for `capacity` positions of `columns = kvHeads * headSize` each. */
  constructor(backend: Backend, capacity: number, columns: number) {
    this.keys = new DeviceTensor(backend, capacity, columns);
    this.values = new DeviceTensor(backend, capacity, columns);
  }

  /** Number of positions it can hold. */
  get capacity(): number {
    return this.keys.rows;
  }

  /**
   * Stores keys and values at their positions.
   *
   * @param keys `[rows, columns]`.
   * @param values The same shape.
   * @param positions uint32 `[rows]`, each below the capacity.
   */
  async append(keys: DeviceTensor, values: DeviceTensor, positions: DeviceBuffer): Promise<void> {
    requireColumns("append to a KV cache", "keys", keys, this.keys.columns);
    requireColumns("append to a KV cache", "values", values, this.values.columns);
    const { backend, rows, columns } = keys;
    const spec = { op: "scatter_rows", rows, columns } as const;
    await runKernel(backend, spec, [keys.buffer, positions], [this.keys.buffer]);
    await runKernel(backend, spec, [values.buffer, positions], [this.values.buffer]);
  }

  /** Frees the memory. */
  dispose(): void {
    this.keys.dispose();
    this.values.dispose();
  }

  /** Frees the memory. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Shape of the heads, and how far back a query looks. */
export interface AttentionOptions {
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads; divides `heads`. */
  readonly kvHeads: number;
  /** Width of a head. */
  readonly headSize: number;
  /** Number of last positions that a query sees; 0 for all. Default 0. */
  readonly window?: number;
}

/**
 * Causal attention of new tokens over everything in a cache, themselves included.
 *
 * @param q `[rows, heads * headSize]`, rotated.
 * @param cache Keys and values, with those of the new tokens already appended.
 * @param positions uint32 `[rows]`: the position of each query.
 * @param options Shape of the heads.
 * @returns `[rows, heads * headSize]`.
 * @throws {RangeError} If the shapes do not fit.
 */
export async function attend(
  q: DeviceTensor,
  cache: KvCache,
  positions: DeviceBuffer,
  options: AttentionOptions,
): Promise<DeviceTensor> {
  const { heads, kvHeads, headSize, window = 0 } = options;
  requireColumns("attend", "q", q, heads * headSize);
  requireColumns("attend", "the cache", cache.keys, kvHeads * headSize);
  if (heads % kvHeads !== 0) {
    throw new RangeError(`Cannot share ${kvHeads} key heads among ${heads} query heads`);
  }
  const { backend, rows } = q;
  const y = new DeviceTensor(backend, rows, q.columns);
  const spec = { op: "attention", rows, heads, kvHeads, headSize, capacity: cache.capacity, window } as const;
  await runKernel(backend, spec, [q.buffer, cache.keys.buffer, cache.values.buffer, positions], [y.buffer]);
  return y;
}
