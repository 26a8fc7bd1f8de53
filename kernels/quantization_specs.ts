// Ops around quantization besides QUIK's own: any format by its thresholds, group-wise scales, rotations, and the
// branches that methods add to a quantized product. Conventions are those of specs.ts.
import type { CodeBits, FloatType, ResultOptions, ScaleType } from "./storage.ts";

/**
 * `y = x R` with the rotation `R = D H / sqrt(blockSize)` of `hadamard()` in the quant room, or its inverse: D multiplies
 * the columns by signs, H is block-diagonal of `H_order (x) H_n`, n a power of two in natural (Sylvester) order.
 *
 * Inputs: x `[rows, columns]`, then the explicit Hadamard matrix, float32 `[order, order]` of 1 and -1, if `order > 1`,
 * then signs, float32 `[columns]`, if `signs`. Output: y `[rows, columns]`.
 */
export interface HadamardSpec {
  /** Names the op. */
  readonly op: "hadamard";
  /** Tokens. */
  readonly rows: number;
  /** Features, a multiple of `blockSize`. */
  readonly columns: number;
  /** Features that are mixed with each other: `order` times a power of two. */
  readonly blockSize: number;
  /** Size of the explicit matrix; 1 for pure powers of two. */
  readonly order: number;
  /** Whether columns are multiplied by signs. */
  readonly signs: boolean;
  /** Whether the inverse rotation is applied. */
  readonly inverse: boolean;
}

/**
 * Symmetric quantization of groups along a row through any format of at most 8 bits:
 * `scale = max(absmax / limit, 2^-126)`, and the code of `x / scale`, both in float32.
 *
 * A format is given by its thresholds, ascending: a value takes code `codes[i]`, i the number of thresholds at or below
 * it. That states ties and saturation exactly, whatever the format.
 *
 * Inputs: x `[rows, columns]`, thresholds float32 `[2^bits - 1]` (unused ones infinite), codes uint32 `[2^bits]`.
 * Outputs: codes (rows of `packedRowBytes(columns, bits)`, low bits first, padded with zeros), scales float32
 * `[rows, ceil(columns / groupSize)]`.
 */
export interface QuantizeGroupsSpec {
  /** Names the op. */
  readonly op: "quantize_groups";
  /** Tokens, or output features of a weight. */
  readonly rows: number;
  /** Values of a row. */
  readonly columns: number;
  /** Values that share a scale; the number of columns for one scale per row. */
  readonly groupSize: number;
  /** Width of a code. */
  readonly bits: 2 | 3 | 4 | 8;
  /** The level that the largest magnitude of a group takes, such as 7 for int4 or 448 for float8E4M3. */
  readonly limit: number;
}

/**
 * `y = (table[code] - zero) * scale`, the dequantized matrix itself.
 *
 * Inputs: codes (packed rows), table float32 `[2^bits]`, scales `[rows, ceil(columns / groupSize)]`, then zero points
 * float32 (same shape) if `zeroPoint`. Output: y `[rows, columns]`.
 */
export interface DequantizeGroupsSpec {
  /** Names the op. */
  readonly op: "dequantize_groups";
  /** Tokens, or output features of a weight. */
  readonly rows: number;
  /** Values of a row. */
  readonly columns: number;
  /** Values that share a scale. */
  readonly groupSize: number;
  /** Width of a code. */
  readonly bits: 2 | 3 | 4 | 8;
  /** Storage type of the scales. */
  readonly scaleType: ScaleType;
  /** Whether groups have zero points. */
  readonly zeroPoint: boolean;
}

/**
 * Integer product with scales per group along k on both sides, integer sums exact within a group:
 * `y[m, n] = sum_g scale[m, g] * weightScale[n, g] * (codes[m, g] . weightCodes[n, g]) (+ bias[n])`.
 *
 * Inputs: activation codes, activation scales float32 `[rows, groups]`, weight codes, weight scales float32
 * `[columns, groups]`, then bias if `bias`; codes signed in padded rows, `groups = ceil(inner / groupSize)`. Output: y.
 */
export interface GroupedLinearSpec extends ResultOptions {
  /** Names the op. */
  readonly op: "grouped_linear";
  /** Tokens. */
  readonly rows: number;
  /** Output features. */
  readonly columns: number;
  /** Length of the reduction. */
  readonly inner: number;
  /** Codes that share a scale: a multiple of 32, or at least `inner`. */
  readonly groupSize: number;
  /** Width of an activation code. */
  readonly activationBits: CodeBits;
  /** Width of a weight code. */
  readonly weightBits: CodeBits;
  /** Whether a bias is added. */
  readonly bias: boolean;
}

/**
 * Weight-only product where every group of a row has a table of its own: clustered weights (SqueezeLLM, arXiv
 * 2306.07629) and binary coding (GPTQT, arXiv 2407.02891), whose table lists the sums of its plus and minus terms:
 * `y[m, n] = sum_k x[m, k] * tables[n, k / groupSize, code[n, k]] (+ bias[n])`.
 *
 * Binary coding needs no op of its own: bit i of a code is element k of plane i, so that planes and packed codes are the
 * same bits in another order, and the table of a group (`binaryLevels`) holds every sum that its planes can make.
 * `planeCodes` turns planes into codes. The table of `2^bits` values takes the place of `bits + 1`, which is little beside
 * the codes of a row or of a group of 128 and more.
 *
 * Inputs: x `[rows, inner]`, codes (rows of `packedRowBytes(inner, bits)`, unsigned, low bits first), tables float32
 * `[columns, ceil(inner / groupSize), 2^bits]`, then bias if `bias`. Output: y `[rows, columns]`.
 */
export interface TableLinearSpec {
  /** Names the op. */
  readonly op: "table_linear";
  /** Tokens. */
  readonly rows: number;
  /** Output features. */
  readonly columns: number;
  /** Length of the reduction. */
  readonly inner: number;
  /** Width of a code. */
  readonly bits: 2 | 3 | 4;
  /** Weights along a row that share one table. */
  readonly groupSize: number;
  /** Whether a bias is added. */
  readonly bias: boolean;
}

/**
 * `y += x * sparse^T`: the sparse part of a dense-and-sparse weight (SqueezeLLM, arXiv 2306.07629).
 *
 * Inputs: x `[rows, inner]`, and the sparse weight `[columns, inner]` in compressed rows: starts uint32 `[columns + 1]`,
 * indices uint32 `[nonzeros]`, values float32 `[nonzeros]`. Output: y `[rows, columns]`, accumulated in place.
 */
export interface SparseAddSpec {
  /** Names the op. */
  readonly op: "sparse_add";
  /** Tokens. */
  readonly rows: number;
  /** Output features. */
  readonly columns: number;
  /** Input features. */
  readonly inner: number;
  /** Stored weights. */
  readonly nonzeros: number;
}

/**
 * `y += (x * down^T) * up^T`: a low-rank branch (SVDQuant, LoftQ, QLoRA).
 *
 * Inputs: x `[rows, inner]`, down `[rank, inner]`, up `[columns, rank]`. Output: y `[rows, columns]`, accumulated in place.
 */
export interface LowRankAddSpec {
  /** Names the op. */
  readonly op: "low_rank_add";
  /** Tokens. */
  readonly rows: number;
  /** Output features. */
  readonly columns: number;
  /** Input features. */
  readonly inner: number;
  /** Rank of the branch. */
  readonly rank: number;
  /** Storage type of both factors. */
  readonly weightType: FloatType;
}

/**
 * The factor that GPTQ works with: upper triangular U with `inverse(H) = U^T U`, where
 * `H[i, j] = hessian[order[i], order[j]]`, plus `damping` on the diagonal; a diagonal element of 0, a column that was never
 * active, counts as 1.
 *
 * Inputs: hessian float32 `[size, size]`, symmetric, order uint32 `[size]`, damping float32 `[1]`.
 * Outputs: U float32 `[size, size]`, zeros below the diagonal, and pivots float32 `[size]`: unless all are positive and
 * finite, H is not positive definite and U means nothing.
 */
export interface InverseFactorSpec {
  /** Names the op. */
  readonly op: "inverse_factor";
  /** Rows and columns of the Hessian. */
  readonly size: number;
}

/**
 * GPTQ's sweep (arXiv 2210.17323): rounds the first `base` columns of a weight from left to right, each error spread over
 * the columns still to come by the factor of the inverse Hessian: `error = (w - w') / U[k, k]`, `w[j] -= error * U[k, j]`.
 * Columns from `base` on absorb errors and stay as they are then. Columns are in the order of rounding throughout.
 *
 * A weight takes the code of `w / scale + zero` (thresholds as in `quantize_groups`) and the value
 * `(table[code] - zero) * scale`, with the scale and zero point of its row and of the group of its column.
 *
 * Inputs: U float32 `[columns, columns]`, group of each column uint32 `[base]`, scales and zero points float32
 * `[rows, groups]`, thresholds float32 `[2^bits - 1]`, codes of the intervals uint32 `[2^bits]`, table float32 `[2^bits]`.
 * Outputs: weight float32 `[rows, columns]`, rounded in place, codes (rows of `packedRowBytes(base, 8)`, one byte each,
 * padded with zeros), loss float32 `[rows]`: half the sum of squared errors.
 */
export interface GptqSweepSpec {
  /** Names the op. */
  readonly op: "gptq_sweep";
  /** Output features. */
  readonly rows: number;
  /** Input features. */
  readonly columns: number;
  /** Columns that are rounded, at most all. */
  readonly base: number;
  /** Groups of a row. */
  readonly groups: number;
  /** Width of a code. */
  readonly bits: 2 | 3 | 4 | 8;
}

/** The ops of this file. */
export type QuantizationSpec =
  | HadamardSpec
  | QuantizeGroupsSpec
  | DequantizeGroupsSpec
  | GroupedLinearSpec
  | TableLinearSpec
  | SparseAddSpec
  | LowRankAddSpec
  | InverseFactorSpec
  | GptqSweepSpec;
