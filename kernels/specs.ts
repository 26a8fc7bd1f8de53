// What a backend can be asked to compute: every op as plain data. A spec names the op, its formats and shapes,
// and nothing else; it is the key under which a backend caches the prepared kernel.
//
// Conventions shared by all ops:
// - Matrices are row-major. `rows` counts tokens, `columns` output features, `inner` the reduction length.
// - Weights are `[columns, inner]` as in Hugging Face checkpoints, so every product is `x * weight^T`.
// - Float buffers are float32 unless a spec names another type; index buffers are uint32.
// - A row of packed codes or of float16 outliers starts at a multiple of 16 bytes and is padded with zeros
//   (`packedRowBytes`, `float16RowBytes`), so that every backend may load 16 bytes at a time.

/** Storage type of a dense weight or table. */
export type FloatType = "float32" | "float16" | "bfloat16";

/** Width of an integer code. */
export type CodeBits = 4 | 8;

/** `y[rows, columns] = x[rows, inner] * weight[columns, inner]^T (+ bias)`, accumulated in float32 or wider.
 * Inputs: x, weight, then bias if `bias`. Output: y. */
export interface DenseLinearSpec {
  readonly op: "dense_linear";
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly weightType: FloatType;
  readonly bias: boolean;
}

/**
 * QUIK's per-token asymmetric activation quantization, kernel form (arXiv 2310.09259, Algorithm 1), fused with the split
 * of outlier columns. Per row, over the base columns only and in float32:
 * `zero = min`, `scale = max((max - min) / (2^bits - 1), 1e-6)`,
 * `code = clamp(roundHalfEven((x - zero) / scale), 0, 2^bits - 1) - 2^(bits - 1)`, a signed code.
 *
 * Inputs: x `[rows, columns]`, base column indices `[columns - outliers]`, outlier column indices `[outliers]`.
 * Outputs: codes (rows of `packedRowBytes(columns - outliers, bits)`, low nibble first), qparams float32 `[rows, 2]`
 * (scale, zero), outlier values rounded to float16 with saturation (rows of `float16RowBytes(outliers)`).
 */
export interface QuantizeActivationsSpec {
  readonly op: "quantize_activations";
  readonly rows: number;
  readonly columns: number;
  readonly outliers: number;
  readonly bits: CodeBits;
}

/** `acc[rows, columns] = codes[rows, inner] * weightCodes[columns, inner]^T` in exact int32.
 * Inputs: activation codes, weight codes (both packed, signed, padded rows). Output: int32 `[rows, columns]`. */
export interface IntegerMatmulSpec {
  readonly op: "integer_matmul";
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly activationBits: CodeBits;
  readonly weightBits: CodeBits;
}

/**
 * The QUIK product with its fused epilogue in float32, h = 2^(activationBits - 1):
 * `y[m, n] = acc[m, n] * scale[m] * weightScale[n] + (zero[m] + h * scale[m]) * reduced[n] + outliers[m] . outlierWeight[n] + bias[n]`.
 *
 * Inputs: activation codes, qparams `[rows, 2]`, outlier activations (float16 rows), weight codes `[columns, inner]`,
 * weightScale `[columns]`, reduced `[columns]` (the row sums of the dequantized base weights), outlierWeight (float16
 * rows of `outliers`), then bias `[columns]` if `bias`. With `outliers: 0` the two outlier buffers are still passed and not read.
 * Output: y `[rows, columns]`.
 */
export interface QuikLinearSpec {
  readonly op: "quik_linear";
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly outliers: number;
  readonly activationBits: CodeBits;
  readonly weightBits: CodeBits;
  readonly bias: boolean;
}

/** `y = table[ids]`, row by row. Inputs: table `[vocabulary, columns]`, ids uint32 `[rows]`. Output: y `[rows, columns]`. */
export interface GatherRowsSpec {
  readonly op: "gather_rows";
  readonly rows: number;
  readonly columns: number;
  readonly tableType: FloatType;
}

/** `target[positions[i]] = source[i]`, row by row: how a KV cache grows.
 * Inputs: source `[rows, columns]`, positions uint32 `[rows]`. Output: target (at least `max(positions) + 1` rows). */
export interface ScatterRowsSpec {
  readonly op: "scatter_rows";
  readonly rows: number;
  readonly columns: number;
}

/** `y = x / sqrt(mean(x^2) + epsilon) * weight` per row. Inputs: x, weight `[columns]`. Output: y. */
export interface RmsNormSpec {
  readonly op: "rms_norm";
  readonly rows: number;
  readonly columns: number;
  readonly epsilon: number;
}

/** `y = (x - mean) / sqrt(variance + epsilon) * weight + bias` per row. Inputs: x, weight, bias `[columns]`. Output: y. */
export interface LayerNormSpec {
  readonly op: "layer_norm";
  readonly rows: number;
  readonly columns: number;
  readonly epsilon: number;
}

/**
 * Rotary position embedding in the Hugging Face ("half split") order: for each head, pair (i, i + headSize / 2) turns by
 * the angle of `positions[row]`. Inputs: x `[rows, heads * headSize]`, cosines and sines `[maxPositions, headSize / 2]`,
 * positions uint32 `[rows]`. Output: y.
 */
export interface RopeSpec {
  readonly op: "rope";
  readonly rows: number;
  readonly heads: number;
  readonly headSize: number;
}

/**
 * Causal grouped-query attention over a cache: query row i attends cache rows `0..positions[i]`, at most the last
 * `window` of them when `window > 0`. Scores are scaled by `1 / sqrt(headSize)`.
 * Inputs: q `[rows, heads * headSize]`, keys and values `[capacity, kvHeads * headSize]`, positions uint32 `[rows]`.
 * Output: y `[rows, heads * headSize]`.
 */
export interface AttentionSpec {
  readonly op: "attention";
  readonly rows: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly capacity: number;
  readonly window: number;
}

/** Element-wise nonlinearity of a feed-forward layer. `gelu` is the exact form, `gelu_tanh` its tanh approximation. */
export type Activation = "silu" | "relu" | "gelu" | "gelu_tanh";

/** `y = f(x)`. Input: x. Output: y. */
export interface ActivationSpec {
  readonly op: "activation";
  readonly count: number;
  readonly activation: Activation;
}

/** `y = f(gate) * up`. Inputs: gate, up. Output: y. */
export interface GatedActivationSpec {
  readonly op: "gated_activation";
  readonly count: number;
  readonly activation: Activation;
}

/** `y = a + b`. Inputs: a, b. Output: y (may be a or b). */
export interface AddSpec {
  readonly op: "add";
  readonly count: number;
}

/** `nll[i] = logSumExp(logits[i]) - logits[i, targets[i]]`. Inputs: logits `[rows, columns]`, targets uint32 `[rows]`. Output: nll `[rows]`. */
export interface TokenNllSpec {
  readonly op: "token_nll";
  readonly rows: number;
  readonly columns: number;
}

/** `gram += x^T x`, for Hessians. Input: x `[rows, columns]`. Output: gram `[columns, columns]`, both triangles, accumulated in place. */
export interface GramSpec {
  readonly op: "gram";
  readonly rows: number;
  readonly columns: number;
}

/** `absmax[j] = max(absmax[j], |x[., j]|)`, accumulated in place. Input: x `[rows, columns]`. Output: absmax `[columns]`. */
export interface ColumnAbsmaxSpec {
  readonly op: "column_absmax";
  readonly rows: number;
  readonly columns: number;
}

/** Storage type of the block scales of a `codebook_linear` weight. */
export type ScaleType = "float32" | "float16" | "float8E4M3" | "float8E8M0";

/**
 * Weight-only product with any format of at most 8 bits, through its table of levels:
 * `y[m, n] = sum_k x[m, k] * table[code[n, k]] * scale[n, k / groupSize] (- zero terms) (+ bias)`.
 * With `zeroPoint`, the value of a weight is `(table[code] - zero[n, group]) * scale[n, group]`.
 *
 * Inputs: x `[rows, inner]`, codes (packed rows of `packedRowBytes(inner, bits)`, unsigned, low bits first; bits 3 is a dense
 * little-endian bit stream), table float32 `[2^bits]`, scales `[columns, ceil(inner / groupSize)]`, then zero points
 * float32 (same shape) if `zeroPoint`, then bias if `bias`. Output: y `[rows, columns]`.
 */
export interface CodebookLinearSpec {
  readonly op: "codebook_linear";
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly bits: 2 | 3 | 4 | 8;
  readonly groupSize: number;
  readonly scaleType: ScaleType;
  readonly zeroPoint: boolean;
  readonly bias: boolean;
}

/** Everything a backend can be asked to compute. */
export type KernelSpec =
  | DenseLinearSpec
  | QuantizeActivationsSpec
  | IntegerMatmulSpec
  | QuikLinearSpec
  | GatherRowsSpec
  | ScatterRowsSpec
  | RmsNormSpec
  | LayerNormSpec
  | RopeSpec
  | AttentionSpec
  | ActivationSpec
  | GatedActivationSpec
  | AddSpec
  | TokenNllSpec
  | GramSpec
  | ColumnAbsmaxSpec
  | CodebookLinearSpec;

/** Name of an op. */
export type OpName = KernelSpec["op"];

/** Smallest scale an activation row may get, as in QUIK's kernels: keeps a constant row exact and finite. */
export const MIN_ACTIVATION_SCALE = 1e-6;

/**
 * Bytes of one row of packed codes on a device: dense little-endian bits, padded to 16 bytes.
 *
 * @param count Codes in the row.
 * @param bits Bits per code.
 * @returns The row stride in bytes.
 */
export function packedRowBytes(count: number, bits: number): number {
  return Math.ceil((count * bits) / 128) * 16;
}

/**
 * Bytes of one row of float16 values on a device, padded to 16 bytes.
 *
 * @param count Values in the row.
 * @returns The row stride in bytes.
 */
export function float16RowBytes(count: number): number {
  return Math.ceil(count / 8) * 16;
}
