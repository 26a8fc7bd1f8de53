// Norm gains and offsets of a whole decoder moved into the layers behind them, and means taken out of the residual
// stream: what is left commutes with any rotation of the stream.
import type { DecoderWeights } from "./decoder_weights.ts";
import type { LinearParameters, NormParameters } from "./fold.ts";
import { centerOutputs, foldGain, foldOffset } from "./fold_norm.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { transpose } from "./_matrix_ops.ts";

/**
 * Folds gain and offset of every norm into the layers behind it (QuaRot, arXiv 2404.00456; SliceGPT, arXiv 2401.15024).
 * Where norms are LayerNorms, everything that enters the residual stream loses its mean besides, after which they are
 * RMSNorms.
 *
 * @param weights The weights of a decoder whose blocks read the residual stream through norms, all of them. Not changed.
 * @returns A decoder that computes the same with RMSNorms of gain 1.
 * @throws {RangeError} If it projects embeddings, has norms of both kinds, or LayerNorms and a head that reads the stream without one.
 */
export function foldDecoderNorms(weights: DecoderWeights): DecoderWeights {
  const { embeddings, blocks, finalNorm, head } = weights;
  if (weights.projectIn || weights.projectOut) {
    throw new RangeError(
      "Cannot fold norms of a model whose embeddings are narrower than its residual stream",
    );
  }
  const centered = hasLayerNorms(weights);
  const written = centered ? centeredLinear : (linear: LinearParameters) => linear;
  return {
    embeddings: centered ? embeddings.map((table) => transpose(centerOutputs(transpose(table)))) : embeddings,
    blocks: blocks.map((block) => {
      const { attentionNorm, feedForwardNorm } = block;
      return {
        ...block,
        attentionNorm: unitNorm(attentionNorm),
        query: foldNorm(block.query, attentionNorm),
        key: foldNorm(block.key, attentionNorm),
        value: foldNorm(block.value, attentionNorm),
        output: written(block.output),
        feedForwardNorm: unitNorm(feedForwardNorm),
        up: block.up.map((linear) => foldNorm(linear, feedForwardNorm)),
        down: written(block.down),
      };
    }),
    ...(finalNorm ? { finalNorm: unitNorm(finalNorm) } : {}),
    head: finalNorm ? foldNorm(head, finalNorm) : head,
  };
}

function hasLayerNorms({ blocks, finalNorm }: DecoderWeights): boolean {
  const norms = blocks.flatMap(({ attentionNorm, feedForwardNorm }) => [attentionNorm, feedForwardNorm]);
  if (finalNorm) norms.push(finalNorm);
  const layerNorms = norms.filter(({ bias }) => bias).length;
  if (layerNorms > 0 && (layerNorms < norms.length || !finalNorm)) {
    throw new RangeError(
      "Cannot fold these norms: every reader of the residual stream, the head included, must have a LayerNorm, or none",
    );
  }
  return layerNorms > 0;
}

function foldNorm({ weight, bias }: LinearParameters, norm: NormParameters): LinearParameters {
  const folded = norm.bias ? foldOffset(weight, norm.bias, bias) : bias;
  return { weight: foldGain(weight, norm.weight), ...(folded ? { bias: folded } : {}) };
}

function unitNorm({ weight }: NormParameters): NormParameters {
  return { weight: new Float32Array(weight.length).fill(1) };
}

function centeredLinear({ weight, bias }: LinearParameters): LinearParameters {
  const asColumn = (values: Float32Array<ArrayBuffer>): Matrix => createMatrix(values.length, 1, values);
  return {
    weight: centerOutputs(weight),
    ...(bias ? { bias: centerOutputs(asColumn(bias)).data } : {}),
  };
}
