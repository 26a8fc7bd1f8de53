// Moving the gains of norms into the linear layers behind them, which leaves norms that rotations commute with.
import { scaleColumns } from "./_matrix_ops.ts";
import { createMatrix, type Matrix } from "./matrix.ts";

/**
 * Folds the gain of a norm into a linear layer that reads its output; the norm's gain then becomes 1.
 *
 * @param weight `[outputs, inputs]`.
 * @param gain The norm's weight, `[inputs]`.
 * @returns `weight * diag(gain)`.
 * @throws {RangeError} If the gain has another length.
 */
export function foldGain(weight: Matrix, gain: Float32Array): Matrix {
  if (gain.length !== weight.cols) {
    throw new RangeError(`Cannot fold ${gain.length} gains into a weight of ${weight.cols} input columns`);
  }
  return scaleColumns(weight, gain);
}

/**
 * Folds the offset of a LayerNorm into the bias of a linear layer that reads its output; the offset then becomes 0.
 *
 * @param weight `[outputs, inputs]`, before {@linkcode foldGain}.
 * @param offset The norm's bias, `[inputs]`.
 * @param bias The layer's bias, `[outputs]`; zeros when left out.
 * @returns `bias + weight * offset`.
 * @throws {RangeError} If the offset has another length.
 */
export function foldOffset(
  weight: Matrix,
  offset: Float32Array,
  bias?: Float32Array,
): Float32Array<ArrayBuffer> {
  if (offset.length !== weight.cols) {
    throw new RangeError(
      `Cannot fold ${offset.length} offsets into a weight of ${weight.cols} input columns`,
    );
  }
  return Float32Array.from({ length: weight.rows }, (_, row) => {
    let sum = bias?.[row] ?? 0;
    for (let col = 0; col < weight.cols; col++) sum += weight.data[row * weight.cols + col] * offset[col];
    return sum;
  });
}

/**
 * Removes the mean over outputs from what a layer adds to the residual stream. A stream of zero mean is all that
 * distinguishes LayerNorm from RMSNorm, so a model whose embedding and output layers are centered can use the latter.
 *
 * @param weight `[outputs, inputs]`; a bias is a matrix of one column.
 * @returns The weight with each column's mean subtracted.
 */
export function centerOutputs({ data, rows, cols }: Matrix): Matrix {
  const means = new Float64Array(cols);
  for (let i = 0; i < data.length; i++) means[i % cols] += data[i] / rows;
  return createMatrix(rows, cols, data.map((value, i) => value - means[i % cols]));
}
