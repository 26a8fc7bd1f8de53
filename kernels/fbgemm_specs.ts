// The specs of FBGEMM's 8-bit products; the conventions are those of `specs.ts`.

/**
 * The static 8-bit pipeline of FBGEMM (arXiv 2101.05615): float activations are quantized as they are packed, and the
 * int32 sums are corrected by row and column offsets and either dequantized or requantized as they are stored.
 *
 * `q = clamp(roundHalfEven(x / inputScale) + inputZero, 0, 255)` in float32,
 * `acc[m, n] = sum_k (q[m, k] - inputZero) * (weight[n, k] - weightZero[n])` in exact int32,
 * `real = acc * (inputScale * weightScale[n]) (+ bias[n])`, each step rounded to float32. Output `float32` is `real`, output
 * `uint8` is `clamp(roundHalfEven(real / outputScale) + outputZero, 0, 255)`.
 *
 * Inputs: x `[rows, inner]`, qparams float32 `[4]` (inputScale, inputZero, outputScale, outputZero; the zeros are integers),
 * weight codes int8 (rows of `packedRowBytes(inner, 8)`), weightScale float32, weightZero int32 and columnOffsets int32
 * (`sum_k weight[n, k]`), `[columns]` each, then bias if `bias`.
 * Output: y, float32 `[rows, columns]` or uint8 rows of `packedRowBytes(columns, 8)`.
 */
export interface AffineLinearSpec {
  /** Names the op. */
  readonly op: "affine_linear";
  /** Tokens. */
  readonly rows: number;
  /** Output features. */
  readonly columns: number;
  /** Length of the reduction. */
  readonly inner: number;
  /** Whether sums are dequantized or requantized. */
  readonly outputType: "float32" | "uint8";
  /** Whether a bias is added. */
  readonly bias: boolean;
}

/**
 * The exact product with 8-bit weights whose rare large codes are kept apart, FBGEMM's outlier-aware accumulation: what is
 * left fits 7 bits, so that narrow dot products cannot overflow.
 * `acc[rows, columns] = codes * (main + remainder)^T` in exact int32.
 *
 * Inputs: activation codes int8, main weight codes int8 of -64..63 (both padded rows of `inner`), and the remainder in
 * compressed rows: starts uint32 `[columns + 1]`, indices uint32 `[remainders]` below `inner`, values int32 `[remainders]`
 * of -64..64. `splitWeightOutliers` makes the last four. Output: int32 `[rows, columns]`.
 */
export interface OutlierMatmulSpec {
  /** Names the op. */
  readonly op: "outlier_matmul";
  /** Tokens. */
  readonly rows: number;
  /** Output features. */
  readonly columns: number;
  /** Length of the reduction. */
  readonly inner: number;
  /** Number of weights kept apart. */
  readonly remainders: number;
}

/** The ops of this file. */
export type FbgemmSpec = AffineLinearSpec | OutlierMatmulSpec;
