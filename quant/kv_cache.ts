// KIVI's key-value cache (arXiv 2402.02750): keys quantized per channel, values per token, the newest tokens exact.
import { createMatrix, type Matrix } from "./matrix.ts";
import { joinRows, sliceRows, transpose } from "./_matrix_ops.ts";
import {
  dequantizeMinMaxGroups,
  type MinMaxGroups,
  minMaxGroupsBits,
  quantizeMinMaxGroups,
} from "./min_max_groups.ts";

/** How keys or values are quantized. */
export interface KvQuantizeOptions {
  /** Bits per code: 2, 4 or 8 in practice. */
  readonly bits: number;
  /** Tokens (keys) or channels (values) that share a scale. Default 32. */
  readonly groupSize?: number;
  /** Newest tokens to leave exact, see each function. Default 0: none. */
  readonly residual?: number;
  /** Shrinks the range of each group, as QuaRot does by 0.95. Default 1. */
  readonly clipRatio?: number;
}

/**
 * Quantizes keys per channel, over groups of tokens, and back. Keys have channels that are large for every token; along
 * a channel they keep their own scale. With a residual, the last `tokens mod residual` tokens stay exact.
 *
 * @param keys `[tokens, channels]`, after the rotary embedding.
 * @param options Bits, group size (tokens) and residual.
 * @returns The keys that attention would see.
 */
export function fakeQuantizeKeys(keys: Matrix, options: KvQuantizeOptions): Matrix {
  const { residual = 0 } = options;
  const count = residual === 0 ? keys.rows : keys.rows - keys.rows % residual;
  return replaceRows(keys, unpackKeys(packKeys(sliceRows(keys, 0, count), options)));
}

/**
 * Quantizes values per token, over groups of channels, and back. With a residual, the last `residual` tokens stay exact.
 *
 * @param values `[tokens, channels]`.
 * @param options Bits, group size (channels) and residual.
 * @returns The values that attention would see.
 */
export function fakeQuantizeValues(values: Matrix, options: KvQuantizeOptions): Matrix {
  const count = Math.max(0, values.rows - (options.residual ?? 0));
  return replaceRows(
    values,
    dequantizeMinMaxGroups(quantizeMinMaxGroups(sliceRows(values, 0, count), options)),
  );
}

/** Options of {@linkcode KiviCache}. */
export interface KiviCacheOptions {
  /** Bits of keys. Default 2. */
  readonly keyBits?: number;
  /** Bits of values. Default 2. */
  readonly valueBits?: number;
  /** Tokens (keys) or channels (values) that share a scale. Default 32. */
  readonly groupSize?: number;
  /** Newest tokens kept exact; a multiple of `groupSize`. Default 128. */
  readonly residual?: number;
}

/** The heads of attention that share a cache. */
export interface KvHeads {
  /** Heads of keys and values. */
  readonly kvHeads: number;
  /** Channels per head. */
  readonly headSize: number;
}

/**
 * A cache of keys and values on the host: the definition that faster ones are compared with. Keys are quantized `residual`
 * tokens at a time, once that many exact ones have gathered; each token's values once `residual` newer ones exist.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, KiviCache } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const cache = new KiviCache({ kvHeads: 1, headSize: 32 }, { residual: 32 });
 * const tokens = createMatrix(40, 32);
 * cache.append(tokens, tokens);
 * assertEquals([cache.quantizedKeys, cache.quantizedValues, cache.tokens], [32, 8, 40]);
 * ```
 */
export class KiviCache {
  readonly #heads: KvHeads;
  readonly #keys: Required<KvQuantizeOptions>;
  readonly #values: Required<KvQuantizeOptions>;
  readonly #residual: number;
  readonly #keyBlocks: MinMaxGroups[] = [];
  readonly #valueBlocks: MinMaxGroups[] = [];
  #newKeys: Matrix;
  #newValues: Matrix;

  /**
   * Makes an empty cache.
   *
   * @param heads Heads and their size.
   * @param options Bits, group size and residual.
   * @throws {RangeError} If the residual is not a positive multiple of the group size.
   */
  constructor(heads: KvHeads, options: KiviCacheOptions = {}) {
    const { keyBits = 2, valueBits = 2, groupSize = 32, residual = 128 } = options;
    if (!(residual > 0) || residual % groupSize !== 0) {
      throw new RangeError(
        `Cannot keep ${residual} exact tokens in groups of ${groupSize}: it must be a positive multiple`,
      );
    }
    this.#heads = heads;
    this.#keys = { bits: keyBits, groupSize, residual, clipRatio: 1 };
    this.#values = { bits: valueBits, groupSize, residual, clipRatio: 1 };
    this.#residual = residual;
    this.#newKeys = createMatrix(0, heads.kvHeads * heads.headSize);
    this.#newValues = this.#newKeys;
  }

  /** Tokens in the cache. */
  get tokens(): number {
    return this.quantizedKeys + this.#newKeys.rows;
  }

  /** Tokens whose keys are quantized: a multiple of the residual. */
  get quantizedKeys(): number {
    return this.#keyBlocks.reduce((sum, block) => sum + block.cols, 0);
  }

  /** Tokens whose values are quantized. */
  get quantizedValues(): number {
    return this.#valueBlocks.reduce((sum, block) => sum + block.rows, 0);
  }

  /** Stored bits per cached number, counting the exact tokens as float16. */
  get bitsPerValue(): number {
    const blocks = [...this.#keyBlocks, ...this.#valueBlocks];
    const exact = 16 * (this.#newKeys.data.length + this.#newValues.data.length);
    const count = 2 * this.tokens * this.#heads.kvHeads * this.#heads.headSize;
    return (blocks.reduce((sum, block) => sum + minMaxGroupsBits(block), 0) + exact) / count;
  }

  /**
   * Appends tokens, one while decoding or many after a prompt; the state is the same either way.
   *
   * @param keys `[tokens, kvHeads * headSize]`, after the rotary embedding.
   * @param values The same shape.
   * @throws {RangeError} If a shape does not fit.
   */
  append(keys: Matrix, values: Matrix): void {
    const width = this.#heads.kvHeads * this.#heads.headSize;
    if (keys.cols !== width || values.cols !== width || keys.rows !== values.rows) {
      throw new RangeError(
        `Cannot append keys [${keys.rows}, ${keys.cols}] and values [${values.rows}, ${values.cols}]: rows must be equal and ${width} wide`,
      );
    }
    this.#newKeys = joinRows([this.#newKeys, keys]);
    this.#newValues = joinRows([this.#newValues, values]);
    while (this.#newKeys.rows >= this.#residual) {
      this.#keyBlocks.push(packKeys(sliceRows(this.#newKeys, 0, this.#residual), this.#keys));
      this.#newKeys = sliceRows(this.#newKeys, this.#residual, this.#newKeys.rows);
    }
    const old = this.#newValues.rows - this.#residual;
    if (old > 0) {
      this.#valueBlocks.push(quantizeMinMaxGroups(sliceRows(this.#newValues, 0, old), this.#values));
      this.#newValues = sliceRows(this.#newValues, old, this.#newValues.rows);
    }
  }

  /** All keys as attention sees them, `[tokens, kvHeads * headSize]`. */
  keys(): Matrix {
    return joinRows([...this.#keyBlocks.map(unpackKeys), this.#newKeys]);
  }

  /** All values as attention sees them, `[tokens, kvHeads * headSize]`. */
  values(): Matrix {
    return joinRows([...this.#valueBlocks.map(dequantizeMinMaxGroups), this.#newValues]);
  }

  /**
   * Attention of one token over the whole cache, scores scaled by `1 / sqrt(headSize)`.
   *
   * @param query `[heads * headSize]`; consecutive heads share a key-value head when there are more of them.
   * @returns `[heads * headSize]`.
   * @throws {RangeError} If the heads are not a multiple of the key-value heads, or the cache is empty.
   */
  attend(query: Float32Array): Float32Array<ArrayBuffer> {
    const { kvHeads, headSize } = this.#heads;
    const heads = query.length / headSize;
    if (!Number.isInteger(heads / kvHeads) || this.tokens === 0) {
      throw new RangeError(
        `Cannot attend with ${query.length} query values over ${this.tokens} tokens of ${kvHeads} heads of ${headSize}`,
      );
    }
    const [keys, values] = [this.keys(), this.values()];
    const out = new Float32Array(query.length);
    for (let head = 0; head < heads; head++) {
      const q = query.subarray(head * headSize, (head + 1) * headSize);
      const channel = Math.floor(head * kvHeads / heads) * headSize;
      out.set(attendHead(q, keys, values, channel), head * headSize);
    }
    return out;
  }
}

/** Softmax-weighted values of one head, whose channels start at `channel`. */
function attendHead(q: Float32Array, keys: Matrix, values: Matrix, channel: number): Float64Array {
  const scores = Float64Array.from({ length: keys.rows }, (_, token) => {
    let dot = 0;
    for (let i = 0; i < q.length; i++) dot += q[i] * keys.data[token * keys.cols + channel + i];
    return dot / Math.sqrt(q.length);
  });
  const largest = scores.reduce((max, score) => Math.max(max, score), -Infinity);
  const out = new Float64Array(q.length);
  let sum = 0;
  for (let token = 0; token < values.rows; token++) {
    const weight = Math.exp(scores[token] - largest);
    sum += weight;
    for (let i = 0; i < q.length; i++) out[i] += weight * values.data[token * values.cols + channel + i];
  }
  return out.map((value) => value / sum);
}

/** Keys are stored transposed, so that a group of tokens of one channel lies together. */
function packKeys(keys: Matrix, options: KvQuantizeOptions): MinMaxGroups {
  return quantizeMinMaxGroups(transpose(keys), options);
}

function unpackKeys(block: MinMaxGroups): Matrix {
  return transpose(dequantizeMinMaxGroups(block));
}

/** The matrix with its first rows replaced. */
function replaceRows(matrix: Matrix, first: Matrix): Matrix {
  const data = matrix.data.slice();
  data.set(first.data);
  return createMatrix(matrix.rows, matrix.cols, data);
}
