// QuaRot's and SpinQuant's rotations (arXiv 2404.00456, 2405.16406) in a whole model of any architecture here.
import { DeviceHadamard } from "../ops/mod.ts";
import {
  blockRotation,
  composeRotations,
  type DecoderWeights,
  foldDecoderNorms,
  hadamard,
  inverseRotation,
  rotateDownInput,
  rotateResidual,
  rotateValueHeads,
  type Rotation,
} from "../quant/mod.ts";
import { decoderWeights } from "./decoder_weights.ts";
import type { Model } from "./model.ts";
import type { BlockTransforms } from "./online_transform.ts";
import { rewriteModel } from "./rewrite_model.ts";

/** Rotations that are merged into weights. */
export interface ModelRotations {
  /** Of the residual stream; SpinQuant's R1. */
  readonly residual: Rotation;
  /** Of the values of each head, for each block; SpinQuant's R2. Default: Hadamard. */
  readonly values?: readonly Rotation[];
}

/** Options of {@linkcode rotateModel}. */
export interface RotateModelOptions {
  /** Rotations to merge, such as learned ones. Default: Hadamard rotations, that of the residual stream with random signs. */
  readonly rotations?: ModelRotations;
  /** Seed of the random signs. Default 0. */
  readonly seed?: number;
}

/**
 * A model that computes what another does, with its activations rotated so that no channel stands out (QuaRot):
 *
 * - norm gains and offsets are folded into the layers behind them, means taken out of the residual stream;
 * - the residual stream is rotated, by weights alone;
 * - values are rotated head by head, by weights alone, which the blocks complete to a Hadamard rotation of all heads;
 * - queries and keys are rotated behind the rotary embedding, for the sake of a quantized cache of keys;
 * - the input of the down projection is rotated.
 *
 * The last three are Hadamard transforms that the model computes while it runs. Quantizing it rounds rotated weights and
 * activations; its layers have the names of the first model's.
 *
 * @param model The model, with dense layers. Not changed.
 * @param options Rotations.
 * @returns The rotated model, in float32; dispose of it to free its memory.
 * @throws {TypeError} If a layer is quantized already.
 * @throws {RangeError} If no rotation commutes with the architecture: norms behind layers, or embeddings of another width.
 */
export async function rotateModel(model: Model, options: RotateModelOptions = {}): Promise<Model> {
  return rotateFolded(model, await foldedWeights(model), options);
}

/** The weights of a model with its norms folded, checked to be one that can be rotated then. */
export async function foldedWeights(model: Model): Promise<DecoderWeights> {
  const weights = await decoderWeights(model);
  if (weights.projectIn || model.blocks.some(({ parts }) => parts.arrangement === "post_norm")) {
    throw new RangeError(
      `Cannot rotate this ${model.config.modelType} model: blocks must read the residual stream through norms before ` +
        "their layers, and embeddings be as wide as it",
    );
  }
  return foldDecoderNorms(weights);
}

/** {@linkcode rotateModel}, from weights whose norms are folded. */
export function rotateFolded(model: Model, folded: DecoderWeights, options: RotateModelOptions = {}): Model {
  const { backend, config: { heads, headSize, hiddenSize, intermediateSize } } = model;
  const { rotations = { residual: hadamard(hiddenSize, { seed: options.seed ?? 0 }) } } = options;
  const [head, allHeads, middle] = [headSize, heads * headSize, intermediateSize].map((size) =>
    hadamard(size)
  );
  const online = acrossHeads(heads, headSize);
  const rotated = rotateResidual(folded, rotations.residual);
  const blocks = rotated.blocks.map((block, index) => {
    return rotateDownInput(rotateValueHeads(block, rotations.values?.[index] ?? head, { online }), middle);
  });
  const owned = [head, allHeads, middle].map((rotation) => new DeviceHadamard(backend, rotation));
  const [onHead, onAllHeads, onMiddle] = owned;
  const transforms: BlockTransforms = {
    queryKey: (x) => onHead.apply(x),
    attended: async (x) => {
      using plain = await onHead.apply(x, { inverse: true });
      return await onAllHeads.apply(plain);
    },
    middle: (x) => onMiddle.apply(x),
  };
  return rewriteModel(model, { ...rotated, blocks }, { transforms: blocks.map(() => transforms), owned });
}

/**
 * A Hadamard rotation of all heads' features without its part within each head: of which Sylvester's matrices leave
 * `H_heads (x) I`, a rotation of each head's like features across heads.
 */
export function acrossHeads(heads: number, headSize: number): Rotation {
  const within = blockRotation(hadamard(headSize), heads);
  return composeRotations(inverseRotation(within), hadamard(heads * headSize));
}
