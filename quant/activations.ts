// Activation quantization as methods use it: what the integer codes of inputs would decode to.
import { roundHalfEven } from "../formats/mod.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { baseColumns } from "./outliers.ts";
import type { ActivationScheme } from "./recipe.ts";

/**
 * How a range of activations becomes codes; Q is `2^bits - 1`, h is `2^(bits - 1)`:
 * - `symmetric`: `scale = absmax / (h - 1)`, codes -h to h - 1.
 * - `asymmetric`: QUIK's kernels: `zero = min` as a float, `scale = max((max - min) / Q, 1e-6)`, `code = round((x - zero) / scale)`.
 * - `asymmetric_integer`: QUIK's simulation: the range holds 0 and the zero point is an integer code.
 */
export type ActivationMapping = "symmetric" | "asymmetric" | "asymmetric_integer";

/** Codes of activations. */
export interface IntegerActivationsOptions {
  /** Bits of a code, 2 to 8. */
  readonly bits: number;
  /** Default `symmetric`. */
  readonly mapping?: ActivationMapping;
  /** Shrinks the range before scales are computed, as QuaRot does by 0.9. Default 1. */
  readonly clipRatio?: number;
}

/** Codes of activations with a scale per token or per group of columns of a token. */
export interface PerTokenActivationsOptions extends IntegerActivationsOptions {
  /** Columns that share a scale; outliers are not counted. Default: all. */
  readonly groupSize?: number;
}

const MIN_SCALE = 1e-6;

/** Quantizes and dequantizes the values at some places of `target` in float32. */
type Codec = (target: Float32Array, offset: number, columns: Uint32Array) => void;

// Adding and subtracting 1.5 * 2^52 rounds half to even, several times faster than a call. The sign of zero is lost,
// which is of no account in a code. The loops count by index because they run over every activation of a model.
const SHIFTER = 1.5 * 2 ** 52;

function symmetric(bits: number, scaleOf: (absmax: number) => number): Codec {
  const half = 2 ** (bits - 1), f = Math.fround;
  return (target, offset, columns) => {
    let absmax = 0;
    for (let i = 0; i < columns.length; i++) {
      const magnitude = Math.abs(target[offset + columns[i]]);
      if (magnitude > absmax) absmax = magnitude;
    }
    const scale = scaleOf(absmax);
    for (let i = 0; i < columns.length; i++) {
      const at = offset + columns[i], code = f(target[at] / scale) + SHIFTER - SHIFTER;
      target[at] = scale * (code < -half ? -half : code > half - 1 ? half - 1 : code);
    }
  };
}

function range(target: Float32Array, offset: number, columns: Uint32Array): [low: number, high: number] {
  let low = Infinity, high = -Infinity;
  for (let i = 0; i < columns.length; i++) {
    const value = target[offset + columns[i]];
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function asymmetric(bits: number, clipRatio: number): Codec {
  const top = 2 ** bits - 1, f = Math.fround;
  return (target, offset, columns) => {
    const [low, high] = range(target, offset, columns);
    const cut = clipRatio === 1 ? 0 : (high - low) * (1 - clipRatio) / 2;
    const zero = f(low + cut), scale = Math.max(f(f(f(high - cut) - zero) / top), f(MIN_SCALE));
    for (let i = 0; i < columns.length; i++) {
      const at = offset + columns[i], code = f(f(target[at] - zero) / scale) + SHIFTER - SHIFTER;
      target[at] = f(scale * (code < 0 ? 0 : code > top ? top : code)) + zero;
    }
  };
}

function asymmetricInteger(bits: number, clipRatio: number): Codec {
  const top = 2 ** bits - 1, f = Math.fround;
  return (target, offset, columns) => {
    const [min, max] = range(target, offset, columns);
    let low = f(Math.min(min, 0) * clipRatio), high = f(Math.max(max, 0) * clipRatio);
    if (low === 0 && high === 0) [low, high] = [-1, 1];
    const scale = f(f(high - low) / top), zero = roundHalfEven(f(-low / scale));
    for (let i = 0; i < columns.length; i++) {
      const at = offset + columns[i], code = f(target[at] / scale) + SHIFTER - SHIFTER + zero;
      target[at] = scale * ((code < 0 ? 0 : code > top ? top : code) - zero);
    }
  };
}

/** The scale of a symmetric range; a range of zeros gets a scale that keeps it zero. */
function symmetricScale(absmax: number, { bits, clipRatio = 1 }: IntegerActivationsOptions): number {
  return Math.max(Math.fround(Math.fround(absmax * clipRatio) / (2 ** (bits - 1) - 1)), 2 ** -126);
}

function codecOf(options: IntegerActivationsOptions): Codec {
  const { bits, mapping = "symmetric", clipRatio = 1 } = options;
  if (!Number.isInteger(bits) || bits < 2 || bits > 8) {
    throw new RangeError(`Cannot quantize activations to ${bits} bits: it must be 2 to 8`);
  }
  switch (mapping) {
    case "symmetric":
      return symmetric(bits, (absmax) => symmetricScale(absmax, options));
    case "asymmetric":
      return asymmetric(bits, clipRatio);
    case "asymmetric_integer":
      return asymmetricInteger(bits, clipRatio);
  }
}

function quantizeRows(input: Matrix, outliers: Uint32Array, codec: Codec, groupSize = Infinity): Matrix {
  const { rows, cols } = input, base = baseColumns(cols, outliers);
  const result = createMatrix(rows, cols, input.data.slice());
  const size = Math.max(1, Math.min(groupSize, base.length));
  for (let start = 0; start < base.length; start += size) {
    const columns = base.subarray(start, start + size);
    for (let r = 0; r < rows; r++) codec(result.data, r * cols, columns);
  }
  return result;
}

/**
 * Dynamic quantization with a scale per token, or per group of columns of a token.
 *
 * @param options Bits, mapping, clipping, group size.
 * @returns The scheme.
 * @throws {RangeError} If bits are not 2 to 8.
 *
 * @example Usage
 * ```ts
 * import { calibrate, createMatrix, perTokenActivations } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const input = createMatrix(1, 3, Float32Array.of(-7, 3.2, 100));
 * const quantize = perTokenActivations({ bits: 4 }).prepare(calibrate(input));
 * assertEquals(quantize(input, Uint32Array.of(2)).data, Float32Array.of(-7, 3, 100)); // column 2 is an outlier
 * ```
 */
export function perTokenActivations(options: PerTokenActivationsOptions): ActivationScheme {
  const codec = codecOf(options);
  return {
    name: `int${options.bits} per token`,
    bits: options.bits,
    prepare: () => (input, outliers) => quantizeRows(input, outliers, codec, options.groupSize),
  };
}

/**
 * Dynamic quantization with one scale for all tokens that are computed together.
 *
 * @param options Bits, mapping, clipping.
 * @returns The scheme.
 * @throws {RangeError} If bits are not 2 to 8.
 */
export function perTensorActivations(options: IntegerActivationsOptions): ActivationScheme {
  const codec = codecOf(options);
  return {
    name: `int${options.bits} per tensor`,
    bits: options.bits,
    prepare: () => (input, outliers) => {
      const base = baseColumns(input.cols, outliers);
      const places = new Uint32Array(input.rows * base.length);
      for (let i = 0; i < places.length; i++) {
        places[i] = Math.floor(i / base.length) * input.cols + base[i % base.length];
      }
      const result = createMatrix(input.rows, input.cols, input.data.slice());
      codec(result.data, 0, places);
      return result;
    },
  };
}

/**
 * Static symmetric quantization: one scale from the calibrated maxima; larger values saturate.
 *
 * @param options Bits and clipping; the mapping is symmetric.
 * @returns The scheme.
 * @throws {RangeError} If bits are not 2 to 8.
 */
export function staticActivations(options: Omit<IntegerActivationsOptions, "mapping">): ActivationScheme {
  codecOf(options);
  return {
    name: `int${options.bits} static`,
    bits: options.bits,
    prepare(calibration) {
      const { absmax } = calibration;
      return (input, outliers) => {
        const largest = baseColumns(absmax.length, outliers).reduce((m, c) => Math.max(m, absmax[c]), 0);
        const scale = symmetricScale(largest, options);
        return quantizeRows(input, outliers, symmetric(options.bits, () => scale));
      };
    },
  };
}
