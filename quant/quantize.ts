// Codes from values and values from codes, given the parameters of every block.
import { type CodeArray, encodeArray, levelsOf } from "../formats/mod.ts";
import { blocksOf } from "./granularity.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import type { Qparams } from "./qparams.ts";
import { type BlockParams, toLevels, valueOf } from "./_fitter.ts";

/** A matrix as codes and the parameters that give them meaning. */
export interface Quantized {
  /** One code per element, row-major. */
  readonly codes: CodeArray;
  /** Format, scales and zero points. */
  readonly qparams: Qparams;
}

/**
 * Quantizes a matrix: `code = encode(round((value - offset) / scale) + zeroPoint)` in float32, saturating; without a zero
 * point the format rounds by itself. NaN follows the format: its NaN code, else what `encode` says.
 *
 * @param matrix The values.
 * @param qparams Parameters for a matrix of that shape.
 * @returns The codes with their parameters.
 * @throws {RangeError} If the shapes differ.
 */
export function quantize(matrix: Matrix, qparams: Qparams): Quantized {
  const { grid, format, levels } = qparams;
  if (matrix.rows !== grid.rows || matrix.cols !== grid.cols) {
    throw new RangeError(
      `Cannot quantize a [${matrix.rows}, ${matrix.cols}] matrix with parameters for [${grid.rows}, ${grid.cols}]`,
    );
  }
  const scaled = new Float32Array(matrix.data.length);
  forEachRun(qparams, (start, end, params) => {
    toLevels(matrix.data.subarray(start, end), params, levels, scaled.subarray(start, end));
  });
  return { codes: encodeArray(format, scaled), qparams };
}

/**
 * The values of codes: `(decode(code) - zeroPoint) * scale + offset` in float32.
 *
 * @param quantized Codes and parameters.
 * @returns A matrix of the original shape.
 * @throws {RangeError} If there are not as many codes as elements.
 */
export function dequantize(quantized: Quantized): Matrix {
  const { codes, qparams } = quantized;
  const { grid, format } = qparams;
  if (codes.length !== grid.rows * grid.cols) {
    throw new RangeError(
      `Cannot dequantize ${codes.length} codes as [${grid.rows}, ${grid.cols}]: it needs ${
        grid.rows * grid.cols
      }`,
    );
  }
  const levels = levelsOf(format);
  const matrix = createMatrix(grid.rows, grid.cols);
  forEachRun(qparams, (start, end, params) => {
    for (let i = start; i < end; i++) matrix.data[i] = valueOf(levels[codes[i]], params);
  });
  return matrix;
}

/**
 * What quantization makes of a matrix: quantize, then dequantize.
 *
 * @param matrix The values.
 * @param qparams Parameters for a matrix of that shape.
 * @returns The rounded values.
 * @throws {RangeError} If the shapes differ.
 */
export function fakeQuantize(matrix: Matrix, qparams: Qparams): Matrix {
  return dequantize(quantize(matrix, qparams));
}

/** Visits the matrix in runs of neighbors that share their parameters: one row of one block, or whole blocks of full width. */
function forEachRun(
  qparams: Qparams,
  visit: (start: number, end: number, params: BlockParams) => void,
): void {
  const { grid, scale, zeroPoint, offset } = qparams;
  for (const place of blocksOf(grid)) {
    const params = {
      scale: scale[place.index],
      zeroPoint: zeroPoint?.[place.index] ?? 0,
      offset: offset?.[place.index] ?? 0,
    };
    const isFullWidth = place.cols === grid.cols;
    const runs = isFullWidth ? 1 : place.rows;
    const length = isFullWidth ? place.rows * place.cols : place.cols;
    for (let run = 0; run < runs; run++) {
      const start = (place.row + run) * grid.cols + place.col;
      visit(start, start + length, params);
    }
  }
}
