// QuaRot's and SpinQuant's rewriting of a decoder (arXiv 2404.00456, 2405.16406): pure functions from weights to weights
// that leave the model's output as it was.
import type { BlockWeights, DecoderWeights } from "./decoder_weights.ts";
import type { LinearParameters, NormParameters } from "./fold.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { blockRotation, composeRotations, rotateOutputs, type Rotation } from "./rotation.ts";

/**
 * Rotates the residual stream: embeddings and every layer that reads it by `R`, every layer that writes it by `R^T`.
 *
 * @param weights A decoder whose norms are RMSNorms of gain 1, see {@linkcode foldDecoderNorms}. Not changed.
 * @param rotation A rotation of the hidden size.
 * @returns The same decoder in rotated coordinates.
 * @throws {RangeError} If a norm has a gain or an offset, or the rotation another size.
 */
export function rotateResidual(weights: DecoderWeights, rotation: Rotation): DecoderWeights {
  const { embeddings, blocks, finalNorm, head } = weights;
  const read = (linear: LinearParameters): LinearParameters => rotateInput(linear, rotation);
  const written = (linear: LinearParameters): LinearParameters => rotateOutput(linear, rotation);
  for (const { attentionNorm, feedForwardNorm } of blocks) {
    checkFolded(attentionNorm);
    checkFolded(feedForwardNorm);
  }
  if (finalNorm) checkFolded(finalNorm);
  return {
    ...weights,
    embeddings: embeddings.map((table) => rotation.apply(table)),
    blocks: blocks.map((block) => ({
      ...block,
      query: read(block.query),
      key: read(block.key),
      value: read(block.value),
      output: written(block.output),
      up: block.up.map(read),
      down: written(block.down),
    })),
    head: read(head),
  };
}

/** Options of {@linkcode rotateValueHeads}. */
export interface RotateValueHeadsOptions {
  /** What the model applies to the heads' results while it runs, `[heads * headSize]`. Default: nothing. */
  readonly online?: Rotation;
}

/**
 * Rotates each head's values: the rows of the value projection and, undoing it, the columns of the output projection
 * (SpinQuant's R2). The values in the cache are then rotated too.
 *
 * @param block A block. Not changed.
 * @param head A rotation of the head size, the same for all heads.
 * @param options What else the output projection has to undo.
 * @returns The same block with rotated values.
 * @throws {RangeError} If a projection does not consist of such heads.
 */
export function rotateValueHeads(
  block: BlockWeights,
  head: Rotation,
  options: RotateValueHeadsOptions = {},
): BlockWeights {
  const { value, output } = block, { online } = options;
  const heads = (features: number): Rotation => blockRotation(head, features / head.size);
  const attended = heads(output.weight.cols);
  return {
    ...block,
    value: rotateOutput(value, heads(value.weight.rows)),
    output: rotateInput(output, online ? composeRotations(attended, online) : attended),
  };
}

/**
 * Rotates what the down projection reads. The rotation of its input has to be computed while the model runs, which a
 * Hadamard transform makes cheap.
 *
 * @param block A block. Not changed.
 * @param rotation A rotation of the intermediate size.
 * @returns The block, whose down projection expects rotated inputs.
 */
export function rotateDownInput(block: BlockWeights, rotation: Rotation): BlockWeights {
  return { ...block, down: rotateInput(block.down, rotation) };
}

function rotateInput(linear: LinearParameters, rotation: Rotation): LinearParameters {
  return { ...linear, weight: rotation.apply(linear.weight) };
}

function rotateOutput({ weight, bias }: LinearParameters, rotation: Rotation): LinearParameters {
  return {
    weight: rotateOutputs(weight, rotation),
    ...(bias ? { bias: rotation.apply(asRow(bias)).data } : {}),
  };
}

function asRow(values: Float32Array<ArrayBuffer>): Matrix {
  return createMatrix(1, values.length, values);
}

function checkFolded({ weight, bias }: NormParameters): void {
  if (bias || weight.some((gain) => gain !== 1)) {
    throw new RangeError("Cannot rotate the residual stream: fold gains and offsets of the norms first");
  }
}
