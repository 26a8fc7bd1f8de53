// A transformer block as a staged forward: attention and feed-forward layer in one of three arrangements.
import { addInPlace, type DeviceTensor, normalize, type NormWeights } from "../ops/mod.ts";
import { attention, type AttentionLayers } from "./attention.ts";
import { feedForward, type FeedForwardLayers } from "./feed_forward.ts";
import type { LinearSlot, StagedForward } from "./linear_slot.ts";
import type { PassContext } from "./pass_context.ts";

/**
 * How attention and feed-forward layer follow each other:
 * - `sequential`: `h += attn(norm(h)); h += mlp(norm(h))` (LLaMA, GPT-2, OPT);
 * - `post_norm`: `h = norm(h + attn(h)); h = norm(h + mlp(h))` (OPT-350m);
 * - `parallel`: `h += attn(norm(h)) + mlp(norm(h))` (Falcon).
 */
export type Arrangement = "sequential" | "post_norm" | "parallel";

/** The parts of a block. */
export interface BlockParts {
  /** How they follow each other. */
  readonly arrangement: Arrangement;
  /** Attention. */
  readonly attention: AttentionLayers;
  /** The norm of the attention. */
  readonly attentionNorm: NormWeights;
  /** Feed-forward layer. */
  readonly feedForward: FeedForwardLayers;
  /** The norm of the feed-forward layer; in the parallel arrangement it may be the attention's. */
  readonly feedForwardNorm: NormWeights;
}

/** A transformer block. */
export class DecoderBlock {
  /** Its linear layers, in the order of the forward. */
  readonly slots: readonly LinearSlot[];
  /** Norms and layers, and how they follow each other. */
  readonly parts: BlockParts;
  readonly #layer: number;

  /** Makes block number `layer` of its parts. */
  constructor(layer: number, parts: BlockParts) {
    const { attention, feedForward } = parts;
    this.#layer = layer;
    this.parts = parts;
    this.slots = [...attention.inputs, attention.output, ...feedForward.inputs, feedForward.output];
  }

  /**
   * The forward, pausing before each group of linear layers.
   *
   * @param hidden `[rows, hiddenSize]`; belongs to the forward from now on and may become the output.
   * @param context Positions and caches.
   * @returns The staged forward to `[rows, hiddenSize]`.
   */
  async *forward(hidden: DeviceTensor, context: PassContext): StagedForward {
    const { arrangement, attention: attentionLayers, feedForward: mlpLayers } = this.parts;
    const attend = (x: DeviceTensor) => attention(x, attentionLayers, { ...context, layer: this.#layer });
    const transform = (x: DeviceTensor) => feedForward(x, mlpLayers);
    const { attentionNorm, feedForwardNorm } = this.parts;
    switch (arrangement) {
      case "sequential":
        yield* addNormed(hidden, attentionNorm, attend);
        yield* addNormed(hidden, feedForwardNorm, transform);
        return hidden;
      case "parallel": {
        using normed = await normalize(hidden, feedForwardNorm);
        yield* addNormed(hidden, attentionNorm, attend);
        yield* addResult(hidden, transform(normed));
        return hidden;
      }
      case "post_norm":
        return yield* normSum(yield* normSum(hidden, attentionNorm, attend), feedForwardNorm, transform);
    }
  }
}

type Layer = (x: DeviceTensor) => StagedForward;

/** `hidden += layer(norm(hidden))`. */
async function* addNormed(hidden: DeviceTensor, norm: NormWeights, layer: Layer): StagedForward<void> {
  using normed = await normalize(hidden, norm);
  yield* addResult(hidden, layer(normed));
}

/** `hidden += result`. */
async function* addResult(hidden: DeviceTensor, result: StagedForward): StagedForward<void> {
  using addend = yield* result;
  await addInPlace(hidden, addend);
}

/** `norm(hidden + layer(hidden))`; uses up `hidden`. */
async function* normSum(hidden: DeviceTensor, norm: NormWeights, layer: Layer): StagedForward {
  using sum = hidden;
  yield* addResult(sum, layer(sum));
  return await normalize(sum, norm);
}
