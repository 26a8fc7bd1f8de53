// Products of linear layers, and the quantization of what they read. Conventions are those of specs.ts.
import type { CodeBits, FloatType, InputOptions, ResultOptions, ScaleType } from "./storage.ts";

/** `y[rows, columns] = x[rows, inner] * weight[columns, inner]^T (+ bias)`, accumulated in float32 or wider.
 * Inputs: x, weight, then bias if `bias`. Output: y. */
export interface DenseLinearSpec extends InputOptions, ResultOptions {
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
  /** Lets a backend round x to float16 (saturating) before the product, as matrix units want it; not needed where x is
   * float16. Default false. */
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
  /** Lets a backend keep x in 16 bits: round x and the weights to float16 (saturating x), as matrix units want it, or x to 15
   * bits of the largest of 32 neighbors, as integer dot products want it. Default false. */
  readonly allowFloat16?: boolean;
}
