// What a backend can be asked to compute: every op as plain data. A spec names the op, its formats and shapes,
// and nothing else; it is the key under which a backend caches the prepared kernel.
//
// Conventions shared by all ops:
// - Matrices are row-major. `rows` counts tokens, `columns` output features, `inner` the reduction length.
// - Weights are `[columns, inner]` as in Hugging Face checkpoints, so every product is `x * weight^T`.
// - Float buffers are float32 unless a spec names another type; index buffers are uint32.
// - A row of packed codes or of float16 outliers starts at a multiple of 16 bytes and is padded with zeros
//   (`packedRowBytes`, `float16RowBytes`), so that every backend may load 16 bytes at a time.
import type { QuantizationSpec } from "./quantization_specs.ts";
import type { FbgemmSpec } from "./fbgemm_specs.ts";

/** Storage type of a dense weight or table. */
export type FloatType = "float32" | "float16" | "bfloat16";

/** Width of an integer code. */
export type CodeBits = 4 | 8;

/** What a product makes of its float32 sums as it stores them: `y = activation(sum + bias)`. */
export interface ResultOptions {
  /** Nonlinearity applied after the bias. Default: none. */
  readonly activation?: Activation;
  /** Storage type of y. In float16 values beyond its range saturate, and a row takes `float16RowBytes(columns)`, padded
   * with zeros. Default `float32`, rows without padding. */
  readonly resultType?: "float32" | "float16";
}

/** `y[rows, columns] = x[rows, inner] * weight[columns, inner]^T (+ bias)`, accumulated in float32 or wider.
 * Inputs: x, weight, then bias if `bias`. Output: y. */
export interface DenseLinearSpec extends ResultOptions {
  /** Names the op. */
  readonly op: "dense_linear";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
  /** Length of the reduction. */
  readonly inner: number;
  /** Storage type of the weight. */
  readonly weightType: FloatType;
  /** Whether a bias is added. */
  readonly bias: boolean;
  /** Lets a backend round x to float16 (saturating) before the product, as matrix units want it. Default false. */
  readonly allowFloat16?: boolean;
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
  /** Names the op. */
  readonly op: "quantize_activations";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
  /** Number of outlier columns. */
  readonly outliers: number;
  /** Width of a code. */
  readonly bits: CodeBits;
}

/** `acc[rows, columns] = codes[rows, inner] * weightCodes[columns, inner]^T` in exact int32.
 * Inputs: activation codes, weight codes (both packed, signed, padded rows). Output: int32 `[rows, columns]`. */
export interface IntegerMatmulSpec {
  /** Names the op. */
  readonly op: "integer_matmul";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
  /** Length of the reduction. */
  readonly inner: number;
  /** Width of an activation code. */
  readonly activationBits: CodeBits;
  /** Width of a weight code. */
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
export interface QuikLinearSpec extends ResultOptions {
  /** Names the op. */
  readonly op: "quik_linear";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
  /** Length of the reduction. */
  readonly inner: number;
  /** Number of outlier columns. */
  readonly outliers: number;
  /** Width of an activation code. */
  readonly activationBits: CodeBits;
  /** Width of a weight code. */
  readonly weightBits: CodeBits;
  /** Whether a bias is added. */
  readonly bias: boolean;
}

/**
 * A whole QUIK layer: `quantize_activations`, then `quik_linear` on its results, as one op. For a token or a few, where
 * a dispatch of its own for the quantization would cost as much as reading the weight.
 *
 * Inputs: x `[rows, inner + outliers]`, base column indices `[inner]`, outlier column indices `[outliers]`, then weight
 * codes, weight scales, reduced weights, outlier weight, and bias if `bias`, as `quik_linear` takes them.
 * Output: y `[rows, columns]`.
 */
export interface QuikLayerSpec extends Omit<QuikLinearSpec, "op"> {
  /** Names the op. */
  readonly op: "quik_layer";
}

/** The two ops that a `quik_layer` stands for. */
export function quikLayerParts(
  spec: QuikLayerSpec,
): readonly [quantize: QuantizeActivationsSpec, product: QuikLinearSpec] {
  const { rows, inner, outliers, activationBits } = spec;
  return [
    { op: "quantize_activations", rows, columns: inner + outliers, outliers, bits: activationBits },
    { ...spec, op: "quik_linear" },
  ];
}

/** `y = table[ids]`, row by row. Inputs: table `[vocabulary, columns]`, ids uint32 `[rows]`. Output: y `[rows, columns]`. */
export interface GatherRowsSpec {
  /** Names the op. */
  readonly op: "gather_rows";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
  /** Storage type of the table. */
  readonly tableType: FloatType;
}

/** `target[positions[i]] = source[i]`, row by row: how a KV cache grows.
 * Inputs: source `[rows, columns]`, positions uint32 `[rows]`. Output: target (at least `max(positions) + 1` rows). */
export interface ScatterRowsSpec {
  /** Names the op. */
  readonly op: "scatter_rows";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
}

/** `y = x / sqrt(mean(x^2) + epsilon) * weight` per row. Inputs: x, weight `[columns]`. Output: y. */
export interface RmsNormSpec {
  /** Names the op. */
  readonly op: "rms_norm";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
  /** Added under the root. */
  readonly epsilon: number;
}

/** `y = (x - mean) / sqrt(variance + epsilon) * weight + bias` per row. Inputs: x, weight, bias `[columns]`. Output: y. */
export interface LayerNormSpec {
  /** Names the op. */
  readonly op: "layer_norm";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
  /** Added under the root. */
  readonly epsilon: number;
}

/**
 * Rotary position embedding in the Hugging Face ("half split") order: for each head, pair (i, i + headSize / 2) turns by
 * the angle of `positions[row]`. Inputs: x `[rows, heads * headSize]`, cosines and sines `[maxPositions, headSize / 2]`,
 * positions uint32 `[rows]`. Output: y.
 */
export interface RopeSpec {
  /** Names the op. */
  readonly op: "rope";
  /** Tokens. */
  readonly rows: number;
  /** Query heads. */
  readonly heads: number;
  /** Width of a head. */
  readonly headSize: number;
}

/**
 * Causal grouped-query attention over a cache: query row i attends cache rows `0..positions[i]`, at most the last
 * `window` of them when `window > 0`. Scores are scaled by `1 / sqrt(headSize)`.
 * Inputs: q `[rows, heads * headSize]`, keys and values `[capacity, kvHeads * headSize]`, positions uint32 `[rows]`.
 * Output: y `[rows, heads * headSize]`.
 */
export interface AttentionSpec {
  /** Names the op. */
  readonly op: "attention";
  /** Tokens. */
  readonly rows: number;
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads; divides `heads`. */
  readonly kvHeads: number;
  /** Width of a head. */
  readonly headSize: number;
  /** Rows of the cache. */
  readonly capacity: number;
  /** Last positions that a query sees; 0 for all. */
  readonly window: number;
}

/** Element-wise nonlinearity of a feed-forward layer. `gelu` is the exact form, `gelu_tanh` its tanh approximation. */
export type Activation = "silu" | "relu" | "gelu" | "gelu_tanh";

/** `y = f(x)`. Input: x. Output: y. */
export interface ActivationSpec {
  /** Names the op. */
  readonly op: "activation";
  /** Number of elements. */
  readonly count: number;
  /** The nonlinearity. */
  readonly activation: Activation;
}

/** `y = f(gate) * up`. Inputs: gate, up. Output: y. */
export interface GatedActivationSpec {
  /** Names the op. */
  readonly op: "gated_activation";
  /** Number of elements. */
  readonly count: number;
  /** The nonlinearity. */
  readonly activation: Activation;
}

/** `y = a + b`. Inputs: a, b. Output: y (may be a or b). */
export interface AddSpec {
  /** Names the op. */
  readonly op: "add";
  /** Number of elements. */
  readonly count: number;
}

/** `nll[i] = logSumExp(logits[i]) - logits[i, targets[i]]`. Inputs: logits `[rows, columns]`, targets uint32 `[rows]`. Output: nll `[rows]`. */
export interface TokenNllSpec {
  /** Names the op. */
  readonly op: "token_nll";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
}

/** `ids[i] = ` the column of the largest logit of row i, the lowest of equals. NaN is never the largest; a row of NaN gives 0.
 * Input: logits `[rows, columns]`. Output: ids uint32 `[rows]`. */
export interface ArgmaxSpec {
  /** Names the op. */
  readonly op: "argmax";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
}

/** `gram += x^T x`, for Hessians. Input: x `[rows, columns]`. Output: gram `[columns, columns]`, both triangles, accumulated in place. */
export interface GramSpec {
  /** Names the op. */
  readonly op: "gram";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
}

/** `absmax[j] = max(absmax[j], |x[., j]|)`, accumulated in place. Input: x `[rows, columns]`. Output: absmax `[columns]`. */
export interface ColumnAbsmaxSpec {
  /** Names the op. */
  readonly op: "column_absmax";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
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
  /** Names the op. */
  readonly op: "codebook_linear";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
  /** Length of the reduction. */
  readonly inner: number;
  /** Width of a code. */
  readonly bits: 2 | 3 | 4 | 8;
  /** Weights along a row that share one scale. */
  readonly groupSize: number;
  /** Storage type of the scales. */
  readonly scaleType: ScaleType;
  /** Whether groups have zero points. */
  readonly zeroPoint: boolean;
  /** Whether a bias is added. */
  readonly bias: boolean;
  /** States that the levels are evenly spaced, as integer formats are: `table[code] = table[0] + code * (table[1] -
   * table[0])`. Lets a backend compute instead of looking up. Default false. */
  readonly evenLevels?: boolean;
  /** Lets a backend round x and the weights to float16 (saturating x) before the product, as matrix units want it. Default
   * false. */
  readonly allowFloat16?: boolean;
}

/** Everything a backend can be asked to compute. */
export type KernelSpec =
  | DenseLinearSpec
  | QuantizeActivationsSpec
  | IntegerMatmulSpec
  | QuikLinearSpec
  | QuikLayerSpec
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
  | ArgmaxSpec
  | GramSpec
  | ColumnAbsmaxSpec
  | CodebookLinearSpec
  | QuantizationSpec
  | FbgemmSpec;

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
