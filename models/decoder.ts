// What an architecture is: a reading of `config.json`, and the way from named tensors to a decoder.
import type { Linear, NormWeights, StoredMatrix } from "../ops/mod.ts";
import type { Weights } from "./_weights.ts";
import type { DecoderBlock } from "./block.ts";
import type { ModelConfig } from "./config.ts";
import type { LinearSlot } from "./linear_slot.ts";

/** A decoder as data: what a token passes through. */
export interface Decoder {
  /** Token table `[vocabulary, embeddingSize]`. */
  readonly tokens: StoredMatrix;
  /** Learned positions `[maxPositions, hiddenSize]`. */
  readonly positions?: StoredMatrix;
  /** From `embeddingSize` to `hiddenSize`, where they differ. */
  readonly projectIn?: LinearSlot;
  /** The transformer blocks. */
  readonly blocks: readonly DecoderBlock[];
  /** The norm before the head. */
  readonly finalNorm?: NormWeights;
  /** From `hiddenSize` back to `embeddingSize`. */
  readonly projectOut?: LinearSlot;
  /** From hidden state to logits. */
  readonly head: Linear;
}

/** A configuration together with how its weights become a decoder. */
export interface Architecture {
  readonly config: ModelConfig;
  build(weights: Weights): Promise<Decoder>;
}
