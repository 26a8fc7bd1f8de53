// SpinQuant (arXiv 2405.16406) on one layer: a rotation learned so that the quantized layer's output changes least.
import { cayleyStep } from "./cayley.ts";
import type { TrainableQuantizer } from "./absmax_quantizer.ts";
import type { Matrix } from "./matrix.ts";
import {
  add64,
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
import { denseRotation, type Rotation } from "./rotation.ts";

/** Options of {@linkcode learnRotation}. */
export interface LearnRotationOptions {
  /** Sample of the layer's inputs, `[tokens, inputs]`. */
  readonly inputs: Matrix;
  /** Quantizes rotated inputs. */
  readonly quantizeActivation: TrainableQuantizer;
  /**
   * Quantizes the rotated weight. Default: left in full precision, as SpinQuant does when GPTQ rounds the
   * weight afterwards.
   */
  readonly quantizeWeight?: TrainableQuantizer;
  /** Where to start, such as a random Hadamard rotation. Default: no rotation. */
  readonly start?: Rotation;
  /** Descent steps. Default 100. */
  readonly steps?: number;
  /** Largest step at the start, falling to 0 along a cosine. Default 1.5. */
  readonly learningRate?: number;
}

/** What {@linkcode learnRotation} found. */
export interface LearnRotationResult {
  /** The rotation of the best step, never worse than the start. */
  readonly rotation: Rotation;
  /** Its matrix, `[inputs, inputs]`. */
  readonly matrix: Matrix64;
  /** Squared output error before each step and after the last. */
  readonly losses: readonly number[];
}

/** No quantization. */
const EXACT: TrainableQuantizer = { forward: (matrix) => matrix, backward: (_matrix, gradient) => gradient };

/**
 * Learns a rotation R of a layer's inputs by Cayley descent on `||x w^T - Qa(x R) Qw(w R)^T||^2`. Rounding passes gradients
 * straight through; what makes the descent work is the gradient of the scales, see {@linkcode absmaxQuantizer}.
 *
 * @param weight `[outputs, inputs]`.
 * @param options Inputs, quantizers, start and schedule.
 * @returns The best rotation and the course of the loss.
 */
export function learnRotation(weight: Matrix, options: LearnRotationOptions): LearnRotationResult {
  const { inputs, start, steps = 100, learningRate = 1.5 } = options;
  const { quantizeActivation, quantizeWeight = EXACT } = options;
  const [x, w] = [toMatrix64(inputs), toMatrix64(weight)];
  const [xT, wT] = [transpose64(x), transpose64(w)];
  const expected = multiplyTransposed64(x, w);
  let matrix = identity64(weight.cols);
  if (start) matrix = toMatrix64(start.apply(toMatrix(matrix)));
  matrix = orthonormal(matrix);
  let best = matrix;
  const losses: number[] = [];
  for (let step = 0;; step++) {
    const [rotatedX, rotatedW] = [toMatrix(multiply64(x, matrix)), toMatrix(multiply64(w, matrix))];
    const quantizedX = toMatrix64(quantizeActivation.forward(rotatedX));
    const quantizedW = toMatrix64(quantizeWeight.forward(rotatedW));
    const error = subtract64(multiplyTransposed64(quantizedX, quantizedW), expected);
    const loss = squaredNorm64(error);
    if (loss < Math.min(...losses, Infinity)) best = matrix;
    losses.push(loss);
    if (step === steps) break;
    const byX = quantizeActivation.backward(rotatedX, toMatrix(multiply64(error, quantizedW)));
    const byW = quantizeWeight.backward(rotatedW, toMatrix(multiply64(transpose64(error), quantizedX)));
    const gradient = unitNorm(add64(multiply64(xT, toMatrix64(byX)), multiply64(wT, toMatrix64(byW))));
    matrix = cayleyStep(matrix, gradient, learningRate * (1 + Math.cos(Math.PI * step / steps)) / 2);
  }
  return { rotation: denseRotation(best), matrix: best, losses };
}

/** Only the direction of the gradient counts: the loss has no natural scale. */
function unitNorm(matrix: Matrix64): Matrix64 {
  const norm = Math.sqrt(squaredNorm64(matrix)) || 1;
  return { ...matrix, data: matrix.data.map((value) => value / norm) };
}

/** Undoes the rounding of a start that came through float32, by one step of Newton's iteration. */
function orthonormal(matrix: Matrix64): Matrix64 {
  const gram = multiply64(matrix, multiply64(transpose64(matrix), matrix));
  return { ...matrix, data: matrix.data.map((value, i) => 1.5 * value - 0.5 * gram.data[i]) };
}
