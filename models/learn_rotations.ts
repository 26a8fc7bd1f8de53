// SpinQuant's rotations of a whole model (arXiv 2405.16406): one of the residual stream, one of the values of each block.
import {
  absmaxQuantizer,
  blockRotation,
  composeRotations,
  createMatrix,
  type DecoderWeights,
  denseRotation,
  diagonalBlock,
  hadamard,
  learnRotation,
  linearProduct,
  type Matrix,
  type RotatedLayer,
  type Rotation,
} from "../quant/mod.ts";
import type { Model } from "./model.ts";
import { type ObservedLayer, observeLayers } from "./observe_layers.ts";
import { rewriteModel } from "./rewrite_model.ts";
import { acrossHeads, type ModelRotations } from "./rotate_model.ts";

/** Options of {@linkcode learnRotations}. */
export interface LearnRotationsOptions {
  /** Token ids of the calibration windows. */
  readonly windows: readonly Uint32Array<ArrayBuffer>[];
  /** Bits of activations, symmetric per token; weights are left in full precision, for GPTQ to round. Default 4. */
  readonly bits?: number;
  /** Shrinks the range of activations. Default 0.9. */
  readonly clipRatio?: number;
  /** Descent steps. Default 32; SpinQuant takes 100. */
  readonly steps?: number;
  /** Tokens that the loss of each layer is measured on. Default 192. */
  readonly samples?: number;
  /** Channels of the residual stream that are mixed by learning; a Hadamard rotation mixes all before. Default 256. */
  readonly blockSize?: number;
  /** Seed of the rotation to start from. Default 0. */
  readonly seed?: number;
  /** Called after each rotation that is learned. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the work. */
  readonly signal?: AbortSignal;
}

/**
 * Learns the rotations that merge into a model's weights. SpinQuant descends on the loss of the whole network, which
 * takes its gradient; here it is the relative output error of the layers that read what is rotated, with their inputs
 * quantized and their weights not, see {@linkcode learnRotation}. Never worse than Hadamard rotations by that measure.
 *
 * @param model A model with dense layers. Not changed.
 * @param folded Its weights, norms folded, see {@linkcode foldDecoderNorms}.
 * @param options Calibration text, bits, effort.
 * @returns The rotations.
 */
export async function learnRotations(
  model: Model,
  folded: DecoderWeights,
  options: LearnRotationsOptions,
): Promise<ModelRotations> {
  const { windows, samples = 192, signal, onProgress } = options;
  const { blocks } = folded, total = blocks.length + 2;
  using plain = rewriteModel(model, folded);
  const observed = await observeLayers(plain, windows, { hessian: false, samples, signal });
  const inputs = new Map(observed.map((layer) => [layer.slot, layer]));
  onProgress?.(1, total);
  const residual = residualRotation(plain, inputs, options);
  onProgress?.(2, total);
  const values: Rotation[] = [];
  for (const { parts } of plain.blocks) {
    signal?.throwIfAborted();
    values.push(valueRotation(plain, inputs.get(parts.attention.output)!, options));
    onProgress?.(2 + values.length, total);
  }
  return { residual, values };
}

type Observed = ReadonlyMap<ObservedLayer["slot"], ObservedLayer>;

/** Learned for all readers of the stream together. */
function residualRotation(model: Model, observed: Observed, options: LearnRotationsOptions): Rotation {
  const { hiddenSize } = model.config, { blockSize = 256, seed = 0 } = options;
  const groups = model.blocks.flatMap(({ parts }) => [parts.attention.inputs, parts.feedForward.inputs]);
  const layers = groups.map((slots) => joined(slots.map((slot) => observed.get(slot)!), hiddenSize >> 1));
  const start = hadamard(hiddenSize, { seed });
  return learnRotation(layers, { ...schedule(options), start, blockSize }).rotation;
}

/** The same for all heads, which share their values in groups; behind the part across heads, with which it commutes. */
function valueRotation(model: Model, layer: ObservedLayer, options: LearnRotationsOptions): Rotation {
  const { heads, headSize } = model.config, head = hadamard(headSize);
  const { learned } = learnRotation([joined([layer], headSize * heads)], {
    ...schedule(options),
    start: composeRotations(acrossHeads(heads, headSize), blockRotation(head, heads)),
    blockSize: headSize,
    sharedBlocks: true,
  });
  return composeRotations(head, denseRotation(diagonalBlock(learned, 0, headSize)));
}

function schedule({ bits = 4, clipRatio = 0.9, steps = 32 }: LearnRotationsOptions) {
  return { quantizeActivation: absmaxQuantizer({ bits, clipRatio }), steps };
}

/** Layers of one input as one, of at most `outputs` outputs, scaled so that what it gives is of unit norm. */
function joined(layers: readonly ObservedLayer[], outputs: number): RotatedLayer {
  const { inputs } = layers[0].calibration, { cols } = inputs;
  const rows = layers.flatMap(({ layer: { weight } }) =>
    Array.from({ length: weight.rows }, (_, row) => weight.data.subarray(row * cols, (row + 1) * cols))
  );
  const count = Math.min(outputs, rows.length);
  const weight = createMatrix(count, cols);
  for (let i = 0; i < count; i++) weight.data.set(rows[Math.floor(i * rows.length / count)], i * cols);
  const norm = Math.sqrt(linearProduct(inputs, weight).data.reduce((sum, y) => sum + y * y, 0)) || 1;
  return { inputs, weight: scaled(weight, 1 / norm) };
}

function scaled(matrix: Matrix, factor: number): Matrix {
  return { ...matrix, data: matrix.data.map((value) => value * factor) };
}
