// Quantized layers defined by their terms: what most methods return.
import { createMatrix, type Matrix } from "./matrix.ts";
import { multiplyTransposed64, toMatrix, toMatrix64 } from "./matrix64.ts";
import type { ForwardTerm, QuantizedLinear } from "./method.ts";

/** What a quantized layer is made of. */
export interface LinearTerms {
  /** Products to add up, at least one. */
  readonly terms: readonly ForwardTerm[];
  /** `[outputs]`. */
  readonly bias?: Float32Array<ArrayBuffer>;
  /** All stored bits over the number of weights. */
  readonly bitsPerWeight: number;
}

/**
 * The product of a linear layer, `x * weight^T`, accumulated in float64.
 *
 * @param x `[tokens, inputs]`.
 * @param weight `[outputs, inputs]`.
 * @returns `[tokens, outputs]`.
 * @throws {RangeError} If the inner sizes differ.
 */
export function linearProduct(x: Matrix, weight: Matrix): Matrix {
  return toMatrix(multiplyTransposed64(toMatrix64(x), toMatrix64(weight)));
}

/**
 * A quantized layer whose forward is the sum of its terms.
 *
 * @param parts Terms, bias and accounting.
 * @returns The layer.
 * @throws {RangeError} If there are no terms, or their outputs or the bias differ in length.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, linearFromTerms } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const layer = linearFromTerms({
 *   terms: [{ weight: createMatrix(1, 2, Float32Array.of(1, 2)) }],
 *   bias: Float32Array.of(10),
 *   bitsPerWeight: 32,
 * });
 * assertEquals(layer.forward(createMatrix(1, 2, Float32Array.of(3, 4))).data, Float32Array.of(21));
 * ```
 */
export function linearFromTerms(parts: LinearTerms): QuantizedLinear {
  const { terms, bias, bitsPerWeight } = parts;
  if (terms.length === 0) throw new RangeError("Cannot make a layer of no terms");
  const outputs = terms[0].weight.rows;
  if (terms.some(({ weight }) => weight.rows !== outputs) || (bias && bias.length !== outputs)) {
    throw new RangeError("Cannot make a layer whose terms and bias differ in the number of outputs");
  }
  return {
    bitsPerWeight,
    terms,
    ...(bias ? { bias } : {}),
    forward(input): Matrix {
      const result = createMatrix(input.rows, outputs);
      for (const term of terms) {
        const { data } = linearProduct(term.input ? term.input(input) : input, term.weight);
        for (let i = 0; i < data.length; i++) result.data[i] += data[i];
      }
      if (bias) { for (let i = 0; i < result.data.length; i++) result.data[i] += bias[i % outputs]; }
      return result;
    },
  };
}
