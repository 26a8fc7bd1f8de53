// The weights of a decoder by what they do, whatever its architecture calls them: what whole-model rewritings work on.
import type { LinearParameters, NormParameters } from "./fold.ts";
import type { Matrix } from "./matrix.ts";

/** The weights of a transformer block. */
export interface BlockWeights {
  /** The norm that attention reads the residual stream through: with a bias a LayerNorm, without an RMSNorm. */
  readonly attentionNorm: NormParameters;
  /** `[heads * headSize, hiddenSize]`. */
  readonly query: LinearParameters;
  /** `[kvHeads * headSize, hiddenSize]`. */
  readonly key: LinearParameters;
  /** `[kvHeads * headSize, hiddenSize]`. */
  readonly value: LinearParameters;
  /** The norm of each query head, `[headSize]`, where it has one (Qwen 3). */
  readonly queryNorm?: NormParameters;
  /** The norm of each key head, `[headSize]`. */
  readonly keyNorm?: NormParameters;
  /** `[hiddenSize, heads * headSize]`. */
  readonly output: LinearParameters;
  /** The norm that the feed-forward layer reads the residual stream through. */
  readonly feedForwardNorm: NormParameters;
  /** Gate and up projection, or the up projection alone, each `[intermediateSize, hiddenSize]`. */
  readonly up: readonly LinearParameters[];
  /** `[hiddenSize, intermediateSize]`. */
  readonly down: LinearParameters;
}

/** The weights of a decoder. */
export interface DecoderWeights {
  /** Tables whose rows enter the residual stream, `[entries, hiddenSize]`: tokens, then learned positions if any. */
  readonly embeddings: readonly Matrix[];
  /** From the width of the token table to `hiddenSize`, where they differ. */
  readonly projectIn?: LinearParameters;
  /** The blocks, in order. */
  readonly blocks: readonly BlockWeights[];
  /** The norm before the head; absent where the head reads the residual stream itself. */
  readonly finalNorm?: NormParameters;
  /** From `hiddenSize` back to the width of the head. */
  readonly projectOut?: LinearParameters;
  /** `[vocabulary, hiddenSize]`, not tied to the embeddings. */
  readonly head: LinearParameters;
}
