// Transforms of activations that an equivalent model computes while it runs, where nothing before could absorb them.
import type { DeviceTensor } from "../ops/mod.ts";

/** Makes a new tensor of the shape of its argument, which it neither keeps nor changes. */
export type OnlineTransform = (x: DeviceTensor) => Promise<DeviceTensor>;

/** Where a block transforms activations. The layers behind are rewritten to expect it. */
export interface BlockTransforms {
  /** Of queries and keys `[rows, heads * headSize]` behind the rotary embedding; leaves scores as they are. */
  readonly queryKey?: OnlineTransform;
  /** Of what the output projection reads. */
  readonly attended?: OnlineTransform;
  /** Of what the down projection reads. */
  readonly middle?: OnlineTransform;
}

/** Passes a tensor through a transform, if there is one; uses up `x`. */
export async function transformed(
  x: DeviceTensor,
  transform: OnlineTransform | undefined,
): Promise<DeviceTensor> {
  if (!transform) return x;
  using source = x;
  return await transform(source);
}
