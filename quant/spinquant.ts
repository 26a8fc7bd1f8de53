// SpinQuant (arXiv 2405.16406): a rotation learned so that the outputs of the quantized layers that share it change least.
import type { TrainableQuantizer } from "./absmax_quantizer.ts";
import { cayleyStep } from "./cayley.ts";
import type { Matrix } from "./matrix.ts";
import {
  add64,
  createMatrix64,
  identity64,
  type Matrix64,
  multiply64,
  multiplyTransposed64,
  squaredNorm64,
  subtract64,
  toMatrix,
  toMatrix64,
  transpose64,
} from "./matrix64.ts";
import { blockDiagonalRotation, composeRotations, type Rotation } from "./rotation.ts";

/** A layer whose inputs are to be rotated. */
export interface RotatedLayer {
  /** `[outputs, inputs]`; a sample of its rows is enough. */
  readonly weight: Matrix;
  /** Sample of the layer's inputs, `[tokens, inputs]`. */
  readonly inputs: Matrix;
}

/** Options of {@linkcode learnRotation}. */
export interface LearnRotationOptions {
  /** Quantizes rotated inputs. */
  readonly quantizeActivation: TrainableQuantizer;
  /**
   * Quantizes the rotated weight. Default: left in full precision, as SpinQuant does when GPTQ rounds the weight afterwards.
   */
  readonly quantizeWeight?: TrainableQuantizer;
  /** Where to start, such as a random Hadamard rotation. Default: no rotation. */
  readonly start?: Rotation;
  /** Learns only rotations within blocks of this many channels, applied after the start. Default: all channels. */
  readonly blockSize?: number;
  /** Whether all blocks get the same rotation, as heads that share their values must. Default false. */
  readonly sharedBlocks?: boolean;
  /** Descent steps. Default 100. */
  readonly steps?: number;
  /** Largest step at the start, falling to 0 along a cosine. Default 1.5. */
  readonly learningRate?: number;
}

/** What {@linkcode learnRotation} found. */
export interface LearnRotationResult {
  /** The rotation of the best step, never worse than the start; the start is part of it. */
  readonly rotation: Rotation;
  /** What was learned, to be applied after the start, `[inputs, inputs]`; block-diagonal if there are blocks. */
  readonly learned: Matrix64;
  /** Squared output error before each step and after the last. */
  readonly losses: readonly number[];
}

/** No quantization. */
const EXACT: TrainableQuantizer = { forward: (matrix) => matrix, backward: (_matrix, gradient) => gradient };

/**
 * Learns one rotation R of the inputs of several layers by Cayley descent on the sum of
 * `||x w^T - Qa(x R) Qw(w R)^T||^2`. Rounding passes gradients straight through; what makes the descent work is the gradient
 * of the scales, see {@linkcode absmaxQuantizer}. SpinQuant's rotation of the residual stream is shared by all layers that
 * read it, which is why it costs nothing at run time.
 *
 * @param layers The layers that share the rotation, of equal input width.
 * @param options Quantizers, start and schedule.
 * @returns The best rotation and the course of the loss.
 * @throws {RangeError} If there are no layers, their widths differ, or shared blocks do not divide them.
 */
export function learnRotation(
  layers: readonly RotatedLayer[],
  options: LearnRotationOptions,
): LearnRotationResult {
  const size = layers[0]?.weight.cols ?? 0;
  if (size === 0 || layers.some(({ weight, inputs }) => weight.cols !== size || inputs.cols !== size)) {
    throw new RangeError(
      `Cannot learn one rotation of ${layers.length} layers: they must be as wide as each other`,
    );
  }
  const { start, steps = 100, learningRate = 1.5, blockSize = size, sharedBlocks = false } = options;
  if (sharedBlocks && size % blockSize !== 0) {
    throw new RangeError(
      `Cannot share a rotation of ${blockSize} channels among ${size}: it must divide them`,
    );
  }
  const problems = layers.map((layer) => createProblem(layer, options));
  let learned = identity64(size);
  let best = learned;
  const losses: number[] = [];
  for (let step = 0;; step++) {
    let loss = 0;
    let gradient = createMatrix64(size, size);
    for (const problem of problems) {
      const part = problem(learned);
      loss += part.loss;
      gradient = add64(gradient, part.gradient);
    }
    if (loss < Math.min(...losses, Infinity)) best = learned;
    losses.push(loss);
    if (step === steps) break;
    const rate = learningRate * (1 + Math.cos(Math.PI * step / steps)) / 2;
    const direction = sharedBlocks ? sumOfBlocks(gradient, blockSize) : gradient;
    learned = moveBlocks(learned, unitNorm(direction), { blockSize, rate });
  }
  const after = blockDiagonalRotation(best, blockSize);
  return { rotation: start ? composeRotations(start, after) : after, learned: best, losses };
}

/** The loss of one layer and its gradient by the learned rotation. */
function createProblem(
  layer: RotatedLayer,
  options: LearnRotationOptions,
): (rotation: Matrix64) => { loss: number; gradient: Matrix64 } {
  const { quantizeActivation, quantizeWeight = EXACT, start, blockSize = layer.weight.cols } = options;
  const [x, w] = [layer.inputs, layer.weight].map((matrix) => start?.apply(matrix) ?? matrix);
  const expected = multiplyTransposed64(toMatrix64(x), toMatrix64(w));
  return (learned) => {
    const rotation = blockDiagonalRotation(learned, blockSize);
    const [rotatedX, rotatedW] = [rotation.apply(x), rotation.apply(w)];
    const quantizedX = toMatrix64(quantizeActivation.forward(rotatedX));
    const quantizedW = toMatrix64(quantizeWeight.forward(rotatedW));
    const error = subtract64(multiplyTransposed64(quantizedX, quantizedW), expected);
    const byX = quantizeActivation.backward(rotatedX, toMatrix(multiply64(error, quantizedW)));
    const byW = quantizeWeight.backward(rotatedW, toMatrix(multiply64(transpose64(error), quantizedX)));
    return {
      loss: squaredNorm64(error),
      gradient: add64(blockProducts(x, byX, blockSize), blockProducts(w, byW, blockSize)),
    };
  };
}

/** `a^T * b` within the diagonal blocks, zero outside. */
function blockProducts(a: Matrix, b: Matrix, blockSize: number): Matrix64 {
  const size = a.cols;
  if (blockSize >= size) {
    return multiplyTransposed64(transpose64(toMatrix64(a)), transpose64(toMatrix64(b)));
  }
  const result = createMatrix64(size, size);
  for (let start = 0; start < size; start += blockSize) {
    const end = Math.min(start + blockSize, size);
    for (let row = 0; row < a.data.length; row += size) {
      for (let i = start; i < end; i++) {
        const factor = a.data[row + i];
        for (let j = start; j < end; j++) result.data[i * size + j] += factor * b.data[row + j];
      }
    }
  }
  return result;
}

/** Each diagonal block replaced by the sum of all: the gradient by what they share. */
function sumOfBlocks({ data, rows: size }: Matrix64, blockSize: number): Matrix64 {
  const result = createMatrix64(size, size);
  for (let i = 0; i < blockSize; i++) {
    for (let j = 0; j < blockSize; j++) {
      let sum = 0;
      for (let at = 0; at < size; at += blockSize) sum += data[(at + i) * size + at + j];
      for (let at = 0; at < size; at += blockSize) result.data[(at + i) * size + at + j] = sum;
    }
  }
  return result;
}

/** One descent step of each diagonal block. */
function moveBlocks(
  matrix: Matrix64,
  gradient: Matrix64,
  { blockSize, rate }: { blockSize: number; rate: number },
): Matrix64 {
  const size = matrix.rows;
  const result = createMatrix64(size, size);
  for (let start = 0; start < size; start += blockSize) {
    const end = Math.min(start + blockSize, size);
    const moved = cayleyStep(diagonalBlock(matrix, start, end), diagonalBlock(gradient, start, end), rate);
    for (let i = start; i < end; i++) {
      const row = moved.data.subarray((i - start) * moved.cols, (i - start + 1) * moved.cols);
      result.data.set(row, i * size + start);
    }
  }
  return result;
}

/** The block of a block-diagonal matrix from `start` to `end`. */
export function diagonalBlock({ data, cols }: Matrix64, start: number, end: number): Matrix64 {
  const block = createMatrix64(end - start, end - start);
  for (let i = start; i < end; i++) {
    block.data.set(data.subarray(i * cols + start, i * cols + end), (i - start) * block.cols);
  }
  return block;
}

/** Only the direction of the gradient counts: the loss has no natural scale. */
function unitNorm(matrix: Matrix64): Matrix64 {
  const norm = Math.sqrt(squaredNorm64(matrix)) || 1;
  return { ...matrix, data: matrix.data.map((value) => value / norm) };
}
