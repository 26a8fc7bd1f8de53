// The feed-forward layer of a block as a staged forward.
import type { Activation } from "../kernels/mod.ts";
import { activate, activateGated, type DeviceTensor } from "../ops/mod.ts";
import { type OnlineTransform, transformed } from "./online_transform.ts";
import { applyStage, type LinearSlot, type StagedForward } from "./linear_slot.ts";

/** The layers of a feed-forward layer. */
export interface FeedForwardLayers {
  /** Gate and up projection (`f(gate) * up`), or only an up projection (`f(up)`). */
  readonly inputs: readonly [LinearSlot, LinearSlot] | readonly [LinearSlot];
  /** Down projection. */
  readonly output: LinearSlot;
  /** `f`. */
  readonly activation: Activation;
  /** What the input of the down projection becomes, of which that knows. Default: itself. */
  readonly middleTransform?: OnlineTransform;
}

/** The feed-forward layer of `x [rows, hiddenSize]`, already normed. */
export async function* feedForward(x: DeviceTensor, layers: FeedForwardLayers): StagedForward {
  const projected = yield* applyStage(layers.inputs, x);
  using first = projected[0];
  using second = projected.at(1);
  const activated = second
    ? await activateGated(first, second, layers.activation)
    : await activate(first, layers.activation);
  using middle = await transformed(activated, layers.middleTransform);
  const [output] = yield* applyStage([layers.output], middle);
  return output;
}
