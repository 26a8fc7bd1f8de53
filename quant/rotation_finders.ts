// Rotations as a step of a method: Hadamard for any layer, and one learned per layer.
import { absmaxQuantizer } from "./absmax_quantizer.ts";
import { hadamard, type HadamardOptions } from "./hadamard.ts";
import { sampleRows } from "./_sample_rows.ts";
import { learnRotation } from "./spinquant.ts";
import { rotationTransform, type TransformFinder } from "./transform.ts";

/**
 * Rotates the inputs of a layer by a Hadamard matrix with random signs (QuaRot, arXiv 2404.00456), which the layer does
 * while it runs. In a whole model weights absorb most rotations, and norm gains can be folded away first, see
 * {@linkcode rotateResidual}.
 *
 * @param options Seed and block size. Default seed 0.
 * @returns The step.
 */
export function hadamardFinder(options: HadamardOptions = {}): TransformFinder {
  const { seed = 0 } = options;
  return {
    name: "hadamard",
    find: ({ weight }) => rotationTransform(hadamard(weight.cols, { ...options, seed }), "hadamard"),
  };
}

/** Options of {@linkcode learnedRotationFinder}. */
export interface LearnedRotationOptions {
  /** Bits of activations, symmetric per token. Default 4. */
  readonly activationBits?: number;
  /** Bits of weights, symmetric per output; 16 leaves them in full precision, for GPTQ to round. Default 16. */
  readonly weightBits?: number;
  /** Shrinks the range of activations. Default 0.9. */
  readonly clipRatio?: number;
  /** Rotations are learned in blocks of this many channels. Default 32. */
  readonly blockSize?: number;
  /** Wider layers keep the Hadamard rotation, as SpinQuant's down projections do. Default 512. */
  readonly maxInputs?: number;
  /** Descent steps. Default 30. */
  readonly steps?: number;
  /** Sampled tokens and outputs that the loss is measured on. Default 96. */
  readonly samples?: number;
  /** Seed of the Hadamard rotation to start from. Default 0. */
  readonly seed?: number;
}

/**
 * Rotates the inputs of every layer by a Hadamard matrix and, after it, by blocks learned for the layer (SpinQuant, arXiv
 * 2405.16406, on one layer). The blocks are counted at 16 bits per entry: only a rotation that all readers of the residual
 * stream share, see {@linkcode learnRotation}, merges into the weights and costs nothing.
 *
 * @param options Bits to learn for, block size and effort.
 * @returns The step.
 */
export function learnedRotationFinder(options: LearnedRotationOptions = {}): TransformFinder {
  const { activationBits = 4, weightBits = 16, clipRatio = 0.9, samples = 96, steps = 30, seed = 0 } =
    options;
  const { blockSize = 32, maxInputs = 512 } = options;
  return {
    name: "learned-rotation",
    find({ weight }, { inputs }) {
      const start = hadamard(weight.cols, { seed });
      if (weight.cols > maxInputs || inputs.rows === 0) return rotationTransform(start, "hadamard");
      const layer = { weight: sampleRows(weight, samples), inputs: sampleRows(inputs, samples) };
      const { rotation } = learnRotation([layer], {
        quantizeActivation: absmaxQuantizer({ bits: activationBits, clipRatio }),
        ...(weightBits < 16 ? { quantizeWeight: absmaxQuantizer({ bits: weightBits }) } : {}),
        start,
        blockSize,
        steps,
      });
      const storedBits = 16 * blockSize * weight.cols;
      return { ...rotationTransform(rotation, "learned-rotation"), storedBits };
    },
  };
}
