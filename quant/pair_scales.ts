// OmniQuant's equivalent scales between two projections of an attention (arXiv 2308.13137): of queries against keys, and
// of values against the output projection. They merge into the weights of both.
import type { BlockWeights } from "./decoder_weights.ts";
import type { LinearParameters } from "./fold.ts";
import { columnAbsmax, scaleColumns } from "./_matrix_ops.ts";
import { createMatrix, type Matrix } from "./matrix.ts";

/** The heads of an attention. */
export interface AttentionHeads {
  /** Query heads, a multiple of `kvHeads`; neighbors share a key head. */
  readonly heads: number;
  /** Key and value heads. */
  readonly kvHeads: number;
  /** Channels of a head. */
  readonly headSize: number;
}

/** Scales are kept from vanishing, as in OmniQuant. */
const MIN_SCALE = 1e-2;

/**
 * Divides queries by a scale and multiplies keys by it, which leaves every score as it was.
 *
 * @param block A block without norms of queries and keys. Not changed.
 * @param scale Of each key channel, `[kvHeads * headSize]`, positive. Behind a rotary embedding the two channels that it
 * turns together, `i` and `i + headSize / 2` of a head, must have the same.
 * @param heads The heads.
 * @returns The same block with other queries and keys.
 * @throws {RangeError} If the scale does not fit the heads, or queries and keys have norms of their own.
 */
export function scaleQueryKey(block: BlockWeights, scale: Float32Array, heads: AttentionHeads): BlockWeights {
  checkScale(scale, heads);
  if (block.queryNorm || block.keyNorm) {
    throw new RangeError("Cannot scale queries and keys that are normed afterwards");
  }
  return {
    ...block,
    query: scaleOutputs(block.query, toQueryHeads(scale, heads).map((s) => 1 / s)),
    key: scaleOutputs(block.key, scale),
  };
}

/**
 * Divides values by a scale and multiplies the columns of the output projection by it.
 *
 * @param block A block. Not changed.
 * @param scale Of each value channel, `[kvHeads * headSize]`, positive.
 * @param heads The heads.
 * @returns The same block with other values.
 * @throws {RangeError} If the scale does not fit the heads.
 */
export function scaleValueOutput(
  block: BlockWeights,
  scale: Float32Array,
  heads: AttentionHeads,
): BlockWeights {
  checkScale(scale, heads);
  const { value, output } = block;
  return {
    ...block,
    value: scaleOutputs(value, scale.map((s) => 1 / s)),
    output: { ...output, weight: scaleColumns(output.weight, toQueryHeads(scale, heads)) },
  };
}

/** The scale of the key or value head that each query head shares, `[heads * headSize]`. */
export function toQueryHeads(
  scale: Float32Array,
  { heads, kvHeads, headSize }: AttentionHeads,
): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: heads * headSize }, (_, i) => {
    const head = Math.floor(Math.floor(i / headSize) * kvHeads / heads);
    return scale[head * headSize + i % headSize];
  });
}

/**
 * A scale that evens out the ranges of key channels: `absmax(k)^-alpha`, for keys whose channels share a range.
 *
 * @param keys Sampled, `[tokens, kvHeads * headSize]`, before the rotary embedding.
 * @param options `alpha`: 0 for no scale, 1 for equal ranges. `rotary`: whether channels are turned in pairs, whose
 * scale then follows from the radius, which turning leaves alone. The heads.
 * @returns `[kvHeads * headSize]`, of geometric mean 1 in each head.
 */
export function queryKeyScale(
  keys: Matrix,
  options: AttentionHeads & { readonly alpha: number; readonly rotary: boolean },
): Float32Array<ArrayBuffer> {
  const { alpha, rotary, headSize } = options, half = headSize / 2;
  const partner = (c: number): number => c % headSize < half ? c + half : c - half;
  const radii = rotary
    ? createMatrix(
      keys.rows,
      keys.cols,
      keys.data.map((k, i) => {
        const column = i % keys.cols;
        return Math.hypot(k, keys.data[i - column + partner(column)]);
      }),
    )
    : keys;
  return balanced(columnAbsmax(radii).map((k) => Math.max(k, 1e-5) ** -alpha), headSize);
}

/**
 * OmniQuant's and SmoothQuant's scale for values: `absmax(x)^alpha / absmax(w)^(1 - alpha)`, x being what the output
 * projection reads, over all query heads that share a value head.
 *
 * @param attended Sampled inputs of the output projection, `[tokens, heads * headSize]`.
 * @param output Its weight, `[hiddenSize, heads * headSize]`.
 * @param options `alpha` and the heads.
 * @returns `[kvHeads * headSize]`, of geometric mean 1 in each head.
 */
export function valueOutputScale(
  attended: Matrix,
  output: Matrix,
  options: AttentionHeads & { readonly alpha: number },
): Float32Array<ArrayBuffer> {
  const { alpha, headSize } = options;
  const [x, w] = [attended, output].map((matrix) => sharedMaxima(columnAbsmax(matrix), options));
  const scale = x.map((value, c) => Math.max(value, 1e-5) ** alpha / Math.max(w[c], 1e-5) ** (1 - alpha));
  return balanced(scale, headSize);
}

/** The largest of all query heads that share a value head. */
function sharedMaxima(
  maxima: Float32Array,
  { heads, kvHeads, headSize }: AttentionHeads,
): Float32Array<ArrayBuffer> {
  const result = new Float32Array(kvHeads * headSize);
  for (const [i, value] of maxima.entries()) {
    const at = Math.floor(Math.floor(i / headSize) * kvHeads / heads) * headSize + i % headSize;
    result[at] = Math.max(result[at], value);
  }
  return result;
}

/** A factor common to a head changes nothing, so it is taken out. */
function balanced(scale: Float32Array<ArrayBuffer>, headSize: number): Float32Array<ArrayBuffer> {
  for (let start = 0; start < scale.length; start += headSize) {
    const head = scale.subarray(start, start + headSize);
    const mean = Math.exp(head.reduce((sum, s) => sum + Math.log(s), 0) / headSize);
    for (let i = 0; i < headSize; i++) head[i] = Math.max(head[i] / mean, MIN_SCALE);
  }
  return scale;
}

function scaleOutputs({ weight, bias }: LinearParameters, factors: Float32Array): LinearParameters {
  const { rows, cols } = weight;
  return {
    weight: createMatrix(rows, cols, weight.data.map((w, i) => w * factors[Math.floor(i / cols)])),
    ...(bias ? { bias: bias.map((b, i) => b * factors[i]) } : {}),
  };
}

function checkScale(scale: Float32Array, { kvHeads, headSize }: AttentionHeads): void {
  const bad = scale.findIndex((s) => !(s > 0 && s < Infinity));
  if (scale.length !== kvHeads * headSize || bad >= 0) {
    throw new RangeError(
      bad >= 0
        ? `Cannot scale channel ${bad} by ${scale[bad]}: scales must be positive and finite`
        : `Cannot scale ${kvHeads} heads of ${headSize} by ${scale.length} scales`,
    );
  }
}
