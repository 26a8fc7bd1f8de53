// LLM.int8() (arXiv 2208.07339): columns in which any token of the batch is large are multiplied in 16 bits, the rest in
// int8 with a scale per token and per output.
import { integerGrid } from "./integer_grid.ts";
import type { Matrix } from "./matrix.ts";
import type { LinearMethod } from "./method.ts";
import { type ActivationScheme, composeMethod } from "./recipe.ts";
import { perTokenActivations } from "./activations.ts";
import { nearestRounder } from "./rounders.ts";

/** Where the decomposition starts. */
export interface MixedOptions {
  /** Columns that hold a value of at least this magnitude stay in 16 bits; `Infinity` for none. Default 6. */
  readonly threshold?: number;
}

/**
 * The columns in which some token reaches the threshold.
 *
 * @param input `[tokens, inputs]`.
 * @param options The threshold.
 * @returns Column indices, ascending. With a threshold of 0: every column that is not all zeros.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, outlierFeatures } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(outlierFeatures(createMatrix(2, 2, Float32Array.of(1, 5, 2, -6))), Uint32Array.of(1));
 * ```
 */
export function outlierFeatures(input: Matrix, options: MixedOptions = {}): Uint32Array<ArrayBuffer> {
  const { threshold = 6 } = options, { data, cols } = input;
  const found = new Uint8Array(cols);
  for (let i = 0; i < data.length; i++) {
    const magnitude = Math.abs(data[i]);
    if (magnitude >= threshold && magnitude > 0) found[i % cols] = 1;
  }
  return Uint32Array.from(found.keys()).filter((c) => found[c]);
}

/** Int8 activations per token, but for the columns that are large in the batch at hand. */
export function mixedActivations(options: MixedOptions = {}): ActivationScheme {
  const dense = perTokenActivations({ bits: 8 });
  return {
    name: "int8 per token, large columns in 16 bits",
    bits: 8,
    prepare(calibration) {
      const quantize = dense.prepare(calibration);
      return (input) => quantize(input, outlierFeatures(input, options));
    },
  };
}

/**
 * LLM.int8(). As in the reference, weight rows are quantized over all columns, and the 16-bit product uses the
 * dequantized weights of its columns.
 *
 * @param options The threshold.
 * @returns The method.
 */
export function llmInt8(options: MixedOptions = {}): LinearMethod {
  return composeMethod({
    name: "llm-int8",
    rounder: nearestRounder({ grid: integerGrid({ bits: 8 }) }),
    activations: mixedActivations(options),
  });
}
