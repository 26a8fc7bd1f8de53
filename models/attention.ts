// The attention of a block as a staged forward.
import type { Matrix } from "../quant/mod.ts";
import { applyRope, attend, DeviceTensor, KvCache, normalize, type NormWeights } from "../ops/mod.ts";
import { type OnlineTransform, transformed } from "./online_transform.ts";
import { applyStage, type LinearSlot, type StagedForward } from "./linear_slot.ts";
import type { PassContext } from "./pass_context.ts";

/** The layers and dimensions of an attention. */
export interface AttentionLayers {
  /** Query, key and value projections, in this order. */
  readonly inputs: readonly [LinearSlot, LinearSlot, LinearSlot];
  /** Output projection. */
  readonly output: LinearSlot;
  /** Norm of each query head, `[1, headSize]` (Qwen 3). */
  readonly queryNorm?: NormWeights;
  /** Norm of each key head, `[1, headSize]` (Qwen 3). */
  readonly keyNorm?: NormWeights;
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads. */
  readonly kvHeads: number;
  /** Width of a head. */
  readonly headSize: number;
  /** How many of the last positions a query attends; 0 for all. */
  readonly window: number;
  /** What queries and keys become behind the rotary embedding, see {@linkcode BlockTransforms}. Default: themselves. */
  readonly queryKeyTransform?: OnlineTransform;
  /** What the input of the output projection becomes, of which that knows. Default: itself. */
  readonly attendedTransform?: OnlineTransform;
}

/** Attends from `x [rows, hiddenSize]`, already normed, to the cache of the layer or to `x` itself. */
export async function* attention(
  x: DeviceTensor,
  layers: AttentionLayers,
  context: PassContext & { readonly layer: number },
): StagedForward {
  const [projectedQuery, projectedKey, value] = yield* applyStage(layers.inputs, x);
  const { cacheTransform } = context;
  const { queryKeyTransform, attendedTransform, headSize } = layers;
  using query = await transformed(await place(projectedQuery, layers.queryNorm, context), queryKeyTransform);
  const placedKey = await transformed(await place(projectedKey, layers.keyNorm, context), queryKeyTransform);
  using key = cacheTransform ? await onHost(placedKey, (x) => cacheTransform.keys(x, headSize)) : placedKey;
  using values = cacheTransform ? await onHost(value, (x) => cacheTransform.values(x, headSize)) : value;
  const shared = context.caches?.[context.layer];
  using own = shared ? undefined : new KvCache(x.backend, context.rows, key.columns);
  const cache = shared ?? own!;
  await cache.append(key, values, context.positions);
  const weighted = await attend(query, cache, context.positions, layers);
  using attended = await transformed(weighted, attendedTransform);
  const [output] = yield* applyStage([layers.output], attended);
  return output;
}

/** Norms and rotates queries or keys; uses up `x`. */
async function place(
  x: DeviceTensor,
  norm: NormWeights | undefined,
  context: PassContext,
): Promise<DeviceTensor> {
  const { rope, positions } = context;
  const normed = norm ? await consume(x, () => normalize(x, norm)) : x;
  return rope ? await consume(normed, () => applyRope(normed, rope, positions)) : normed;
}

/** Passes keys or values through a host function; uses up `x`. */
function onHost(x: DeviceTensor, transform: (x: Matrix) => Matrix): Promise<DeviceTensor> {
  return consume(x, async () => DeviceTensor.fromMatrix(x.backend, transform(await x.toMatrix())));
}

/** Frees a tensor once what reads it is queued. */
async function consume(x: DeviceTensor, read: () => Promise<DeviceTensor>): Promise<DeviceTensor> {
  try {
    return await read();
  } finally {
    x.dispose();
  }
}
