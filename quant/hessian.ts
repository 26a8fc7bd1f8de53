// What calibration learns of a layer's inputs, gathered while they stream by: X^T X, column maxima and means, and an
// even sample of the rows.
import { createMatrix, type Matrix } from "./matrix.ts";
import type { LayerCalibration } from "./method.ts";

/** What a {@linkcode CalibrationAccumulator} keeps. */
export interface CalibrationOptions {
  /** Rows to keep for methods that search on the layer's output. Default 256. */
  readonly samples?: number;
  /** Whether to accumulate the Hessian, the one expensive part. Default true. */
  readonly hessian?: boolean;
}

/** Part of the work done elsewhere, for one {@linkcode CalibrationAccumulator.add}. */
export interface AddInputsOptions {
  /** `x^T x` of exactly these inputs, `[inputs, inputs]`, when a backend has computed it. */
  readonly gram?: Matrix;
}

/**
 * Gathers the {@linkcode LayerCalibration} of one layer from its inputs, batch after batch. Sums are float64.
 *
 * @example Usage
 * ```ts
 * import { CalibrationAccumulator, createMatrix } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const accumulator = new CalibrationAccumulator(2);
 * accumulator.add(createMatrix(1, 2, Float32Array.of(1, -3)));
 * accumulator.add(createMatrix(1, 2, Float32Array.of(-2, 1)));
 * const { absmax, hessian, tokens } = accumulator.finish();
 * assertEquals(absmax, Float32Array.of(2, 3));
 * assertEquals(hessian.data, Float32Array.of(5, -5, -5, 10)); // 2 / tokens * sum x^T x
 * assertEquals(tokens, 2);
 * ```
 */
export class CalibrationAccumulator {
  readonly #columns: number;
  readonly #gram: Float64Array<ArrayBuffer> | undefined;
  readonly #absmax: Float32Array<ArrayBuffer>;
  readonly #absSum: Float64Array<ArrayBuffer>;
  readonly #samples: number;
  #kept: Float32Array<ArrayBuffer>[] = [];
  #stride = 1;
  #tokens = 0;

  /** Starts with no tokens, for a layer of `columns` input features. */
  constructor(columns: number, options: CalibrationOptions = {}) {
    const { samples = 256, hessian = true } = options;
    if (!Number.isInteger(columns) || columns < 1) {
      throw new RangeError(`Cannot calibrate ${columns} input features: the number must be positive`);
    }
    if (!Number.isInteger(samples) || samples < 0) {
      throw new RangeError(`Cannot keep ${samples} sample rows: the number must be a non-negative integer`);
    }
    this.#columns = columns;
    this.#samples = samples;
    this.#gram = hessian ? new Float64Array(columns * columns) : undefined;
    this.#absmax = new Float32Array(columns);
    this.#absSum = new Float64Array(columns);
  }

  /** Tokens seen so far. */
  get tokens(): number {
    return this.#tokens;
  }

  /**
   * Adds a batch of inputs.
   *
   * @param inputs `[tokens, columns]`. Copied where kept.
   * @throws {RangeError} If the width is another, or a value is NaN or infinite.
   */
  add(inputs: Matrix, options: AddInputsOptions = {}): void {
    const { rows, cols, data } = inputs;
    if (cols !== this.#columns) {
      throw new RangeError(`Cannot add inputs of ${cols} features to a calibration of ${this.#columns}`);
    }
    this.#addColumnStatistics(inputs);
    if (this.#gram) {
      if (options.gram) addGiven(this.#gram, options.gram, cols);
      else addGram(this.#gram, data, rows, cols);
    }
    this.#keepSamples(inputs);
    this.#tokens += rows;
  }

  /**
   * The statistics of everything added.
   *
   * @returns The calibration; `hessian` has no rows if the accumulator was told not to gather it.
   * @throws {RangeError} If nothing was added.
   */
  finish(): LayerCalibration {
    const columns = this.#columns, tokens = this.#tokens;
    if (tokens === 0) throw new RangeError("Cannot finish a calibration that has seen no tokens");
    const gram = this.#gram;
    return {
      absmax: this.#absmax.slice(),
      meanAbs: Float32Array.from(this.#absSum, (sum) => sum / tokens),
      hessian: gram ? scaledSymmetric(gram, columns, 2 / tokens) : createMatrix(0, 0),
      inputs: this.#sampled(),
      tokens,
    };
  }

  #addColumnStatistics({ data, rows, cols }: Matrix): void {
    const absmax = this.#absmax, absSum = this.#absSum;
    for (let r = 0, i = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++, i++) {
        const magnitude = Math.abs(data[i]);
        if (!(magnitude < Infinity)) {
          throw new RangeError(`Cannot calibrate on ${data[i]} in input feature ${c}: values must be finite`);
        }
        if (magnitude > absmax[c]) absmax[c] = magnitude;
        absSum[c] += magnitude;
      }
    }
  }

  // Keeps every stride-th token; when twice too many are held, every other one goes and the stride doubles.
  #keepSamples({ data, rows, cols }: Matrix): void {
    if (this.#samples === 0) return;
    for (let r = 0; r < rows; r++) {
      if ((this.#tokens + r) % this.#stride !== 0) continue;
      this.#kept.push(data.slice(r * cols, (r + 1) * cols));
      if (this.#kept.length < 2 * this.#samples) continue;
      this.#kept = this.#kept.filter((_, index) => index % 2 === 0);
      this.#stride *= 2;
    }
  }

  #sampled(): Matrix {
    const kept = this.#kept, count = Math.min(this.#samples, kept.length);
    const rows = createMatrix(count, this.#columns);
    for (let r = 0; r < count; r++) {
      rows.data.set(kept[Math.floor((r * kept.length) / count)], r * this.#columns);
    }
    return rows;
  }
}

function addGiven(gram: Float64Array, given: Matrix, columns: number): void {
  if (given.rows !== columns || given.cols !== columns) {
    throw new RangeError(
      `Cannot add a gram of shape [${given.rows}, ${given.cols}] to one of [${columns}, ${columns}]`,
    );
  }
  for (let i = 0; i < gram.length; i++) gram[i] += given.data[i];
}

// Lower triangle of x^T x, four rows of x at a time so that the sums are loaded and stored a quarter as often.
function addGram(gram: Float64Array, x: Float32Array, rows: number, columns: number): void {
  let r = 0;
  for (; r + 3 < rows; r += 4) {
    const r0 = r * columns, r1 = r0 + columns, r2 = r1 + columns, r3 = r2 + columns;
    for (let i = 0; i < columns; i++) {
      const a0 = x[r0 + i], a1 = x[r1 + i], a2 = x[r2 + i], a3 = x[r3 + i], target = i * columns;
      for (let j = 0; j <= i; j++) {
        gram[target + j] += a0 * x[r0 + j] + a1 * x[r1 + j] + (a2 * x[r2 + j] + a3 * x[r3 + j]);
      }
    }
  }
  for (; r < rows; r++) {
    const row = r * columns;
    for (let i = 0; i < columns; i++) {
      const a = x[row + i], target = i * columns;
      for (let j = 0; j <= i; j++) gram[target + j] += a * x[row + j];
    }
  }
}

function scaledSymmetric(gram: Float64Array, columns: number, factor: number): Matrix {
  const result = createMatrix(columns, columns);
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j <= i; j++) {
      const value = gram[i * columns + j] * factor;
      result.data[i * columns + j] = value;
      result.data[j * columns + i] = value;
    }
  }
  return result;
}

/**
 * GPTQ's Hessian of a layer's inputs, `(2 / tokens) * x^T x`, summed in float64.
 *
 * @param inputs `[tokens, inputs]`.
 * @returns `[inputs, inputs]`, symmetric.
 * @throws {RangeError} If there are no tokens or a value is not finite.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, hessianOf } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(hessianOf(createMatrix(1, 2, Float32Array.of(1, 3))).data, Float32Array.of(2, 6, 6, 18));
 * ```
 */
export function hessianOf(inputs: Matrix): Matrix {
  return calibrate(inputs, { samples: 0 }).hessian;
}

/**
 * The calibration of a layer whose inputs are all at hand.
 *
 * @param inputs `[tokens, inputs]`.
 * @returns Maxima, means, Hessian and sampled rows.
 * @throws {RangeError} If there are no tokens or a value is not finite.
 */
export function calibrate(inputs: Matrix, options: CalibrationOptions = {}): LayerCalibration {
  const accumulator = new CalibrationAccumulator(inputs.cols, options);
  accumulator.add(inputs);
  return accumulator.finish();
}
