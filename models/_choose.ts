// The two ways to choose token after token: on the host from its logits, or greedily on the device.
import type { Backend, DeviceBuffer } from "../kernels/mod.ts";
import { argmaxRows, type DeviceTensor } from "../ops/mod.ts";
import { sliceRows } from "./_rows.ts";
import type { Model, ModelCache, TokenIds } from "./model.ts";
import type { Sampler } from "./sampler.ts";

/** How many tokens to choose, and where their keys and values go. */
export interface Choice {
  readonly count: number;
  readonly cache: ModelCache;
  readonly signal?: AbortSignal;
}

/**
 * Tokens on their way back from a GPU: reading takes milliseconds however little is read, so further tokens are queued
 * meanwhile. A CPU computes when it is asked, and gains nothing.
 */
const LOOKAHEAD: Readonly<Record<string, number>> = { webgpu: 8 };

/** Chooses each token on the host. */
export async function* sampledIds(
  model: Model,
  prompt: Uint32Array<ArrayBuffer>,
  choice: Choice & { readonly sampler: Sampler },
): AsyncGenerator<number, void, void> {
  const { count, cache, signal, sampler } = choice;
  let input = prompt;
  for (let chosen = 0; chosen < count; chosen++) {
    signal?.throwIfAborted();
    using logits = await lastLogits(model, input, cache);
    const id = sampler((await logits.toMatrix()).data);
    yield id;
    input = Uint32Array.of(id);
  }
}

/** Chooses the likeliest token on the device, which goes on with it while earlier ones are read back. */
export async function* greedyIds(
  model: Model,
  prompt: Uint32Array<ArrayBuffer>,
  choice: Choice,
): AsyncGenerator<number, void, void> {
  const { count, cache, signal } = choice;
  const lookahead = LOOKAHEAD[model.backend.name] ?? 0;
  const buffers: DeviceBuffer[] = [];
  const pending: Promise<number>[] = [];
  try {
    let input: TokenIds = prompt;
    for (let queued = 0; queued < count; queued++) {
      signal?.throwIfAborted();
      using logits = await lastLogits(model, input, cache);
      const buffer = await argmaxRows(logits);
      buffers.push(buffer);
      pending.push(readId(model.backend, buffer));
      input = { buffer, length: 1 };
      if (pending.length > lookahead) yield await pending.shift()!;
    }
    while (pending.length > 0) {
      signal?.throwIfAborted();
      yield await pending.shift()!;
    }
  } finally {
    await Promise.allSettled(pending);
    for (const buffer of buffers) buffer.dispose();
  }
}

/** Runs tokens after those in the cache; the logits of the last one, `[1, vocabulary]`. */
async function lastLogits(model: Model, ids: TokenIds, cache: ModelCache): Promise<DeviceTensor> {
  using hidden = await model.forwardHidden(ids, { cache });
  using last = await sliceRows(hidden, ids.length - 1, 1);
  return await model.logits(last);
}

async function readId(backend: Backend, buffer: DeviceBuffer): Promise<number> {
  return new Uint32Array(await backend.read(buffer, { byteLength: 4 }))[0];
}
