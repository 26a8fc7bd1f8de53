// How far quantized values are from the ones they stand for, and what they cost. Sums are float64.
import { blocksOf } from "./granularity.ts";
import type { Matrix } from "./matrix.ts";
import type { Qparams } from "./qparams.ts";

/** Errors of values against a reference; see {@linkcode errorMetrics}. */
export interface ErrorMetrics {
  /** `||a - b|| / ||a||` in the Frobenius norm; 0 for equal values, infinite if only the reference is zero. */
  readonly relativeError: number;
  /** Signal to quantization noise in dB, `-20 log10(relativeError)`. */
  readonly sqnr: number;
  /** Cosine of the angle between them. It does not see a common factor: never use it alone. */
  readonly cosine: number;
  /** Largest `|a - b|`. */
  readonly maxError: number;
  /** Mean of `(a - b)^2`. */
  readonly meanSquaredError: number;
}

/**
 * Compares values with their reference.
 *
 * @param reference The exact values `a`.
 * @param actual The values `b`, as many.
 * @returns The errors.
 * @throws {RangeError} If the counts differ.
 *
 * @example Usage
 * ```ts
 * import { errorMetrics } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const { relativeError, maxError } = errorMetrics(Float32Array.of(3, 4), Float32Array.of(3, 4.5));
 * assertEquals([relativeError, maxError], [0.1, 0.5]);
 * ```
 */
export function errorMetrics(reference: ArrayLike<number>, actual: ArrayLike<number>): ErrorMetrics {
  if (reference.length !== actual.length) {
    throw new RangeError(
      `Cannot compare ${actual.length} values with ${reference.length}: the counts must agree`,
    );
  }
  let signal = 0;
  let other = 0;
  let product = 0;
  let noise = 0;
  let maxError = 0;
  for (let i = 0; i < reference.length; i++) {
    const a = reference[i];
    const b = actual[i];
    const difference = Math.abs(a - b);
    signal += a * a;
    other += b * b;
    product += a * b;
    noise += difference * difference;
    maxError = Math.max(maxError, difference); // NaN stays
  }
  const relativeError = noise === 0 ? 0 : Math.sqrt(noise / signal);
  const norms = Math.sqrt(signal * other);
  return {
    relativeError,
    sqnr: -20 * Math.log10(relativeError),
    cosine: norms === 0 ? (noise === 0 ? 1 : 0) : product / norms,
    maxError,
    meanSquaredError: reference.length === 0 ? 0 : noise / reference.length,
  };
}

/**
 * The share of values that lie outside what their block can represent, by more than half a step.
 *
 * @param matrix The exact values.
 * @param qparams Parameters for a matrix of that shape.
 * @returns A share from 0 to 1.
 */
export function clippedFraction(matrix: Matrix, qparams: Qparams): number {
  const { grid, levels, scale, zeroPoint, offset } = qparams;
  let clipped = 0;
  for (const { index, row, col, rows, cols } of blocksOf(grid)) {
    const shift = zeroPoint?.[index] ?? 0;
    for (let r = row; r < row + rows; r++) {
      for (let c = col; c < col + cols; c++) {
        const level = (matrix.data[r * grid.cols + c] - (offset?.[index] ?? 0)) / scale[index] + shift;
        if (level < levels.min - 0.5 || level > levels.max + 0.5) clipped++;
      }
    }
  }
  return matrix.data.length === 0 ? 0 : clipped / matrix.data.length;
}

/**
 * The entropy of codes in bits: what an ideal compressor would need per code.
 *
 * @param codes Codes of at most 16 bits.
 * @returns `-sum p log2 p` over the codes that occur.
 */
export function codeEntropy(codes: ArrayLike<number>): number {
  const counts = new Float64Array(65536);
  for (let i = 0; i < codes.length; i++) counts[codes[i]]++;
  let entropy = 0;
  for (const count of counts) {
    if (count > 0) entropy -= count / codes.length * Math.log2(count / codes.length);
  }
  return entropy;
}

/**
 * All bits stored per value: codes, scales, zero points (as wide as a code) and offsets (float32, or as wide as a scale
 * where that has a format).
 *
 * @param qparams The parameters.
 * @returns Bits per value.
 */
export function effectiveBits(qparams: Qparams): number {
  const { format, grid, scale, zeroPoint, offset, scaleFormat } = qparams;
  const scaleBits = scaleFormat?.bits ?? 32;
  const perBlock = scaleBits + (zeroPoint ? format.bits : 0) + (offset ? scaleBits : 0);
  return format.bits + perBlock * scale.length / (grid.rows * grid.cols);
}

/** How a quantized model's predictions differ from the float model's; see {@linkcode logitDivergence}. */
export interface LogitDivergence {
  /** Mean over tokens of `KL(p || q)` in nats. */
  readonly mean: number;
  /** Median over tokens. */
  readonly median: number;
  /** 99th percentile over tokens. */
  readonly percentile99: number;
  /** Share of tokens whose most likely next token agrees. */
  readonly topAgreement: number;
}

/**
 * Kullback-Leibler divergence of next-token distributions: `sum p (log p - log q)` with `p` the softmax of the reference.
 *
 * @param reference Logits of the float model, `[tokens, vocabulary]`.
 * @param actual Logits of the quantized model, of the same shape.
 * @returns Mean, median, tail, agreement of the most likely token.
 * @throws {RangeError} If the shapes differ or there are no tokens.
 */
export function logitDivergence(reference: Matrix, actual: Matrix): LogitDivergence {
  const { rows, cols } = reference;
  if (rows !== actual.rows || cols !== actual.cols || rows === 0) {
    throw new RangeError(
      `Cannot compare logits of shape [${actual.rows}, ${actual.cols}] with [${rows}, ${cols}]: the shapes must agree`,
    );
  }
  const divergences = new Float64Array(rows);
  let agreeing = 0;
  for (let row = 0; row < rows; row++) {
    const p = reference.data.subarray(row * cols, (row + 1) * cols);
    const q = actual.data.subarray(row * cols, (row + 1) * cols);
    divergences[row] = divergenceOf(p, q);
    if (largestIndex(p) === largestIndex(q)) agreeing++;
  }
  divergences.sort();
  return {
    mean: divergences.reduce((sum, value) => sum + value, 0) / rows,
    median: (divergences[(rows - 1) >> 1] + divergences[rows >> 1]) / 2,
    percentile99: divergences[Math.min(rows - 1, Math.ceil(0.99 * rows) - 1)],
    topAgreement: agreeing / rows,
  };
}

/** `KL(p || q)` of one token; rounding may leave a tiny negative number, which is 0. */
function divergenceOf(p: Float32Array<ArrayBuffer>, q: Float32Array<ArrayBuffer>): number {
  const logSumP = logSumExp(p);
  const logSumQ = logSumExp(q);
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const logP = p[i] - logSumP;
    if (p[i] > -Infinity) sum += Math.exp(logP) * (logP - (q[i] - logSumQ));
  }
  return Math.max(sum, 0);
}

function logSumExp(logits: Float32Array<ArrayBuffer>): number {
  const largest = logits[largestIndex(logits)];
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return largest + Math.log(sum);
}

function largestIndex(values: Float32Array<ArrayBuffer>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
