// SparseGPT's choice of the weights to drop (arXiv 2301.00774): those whose removal, after compensation, costs least,
// `w^2 / U_kk^2` with U the factor of the inverse Hessian.

/** Which weights to set to zero: `zeros` in every `of` neighbours of a row, or a fraction of each block of columns. */
export type Sparsity = { readonly zeros: number; readonly of: number } | { readonly ratio: number };

/** @throws {RangeError} If the pattern is impossible. */
export function checkSparsity(sparsity: Sparsity): void {
  if ("ratio" in sparsity) {
    if (!(sparsity.ratio >= 0 && sparsity.ratio < 1)) {
      throw new RangeError(`Cannot prune a fraction of ${sparsity.ratio}: it must be in [0, 1)`);
    }
    return;
  }
  const { zeros, of } = sparsity;
  if (!(Number.isInteger(zeros) && Number.isInteger(of) && zeros >= 0 && zeros < of)) {
    throw new RangeError(`Cannot prune ${zeros} of every ${of} weights: it must be fewer than all`);
  }
}

/** A run of columns of the working weights. */
export interface PruneSpan {
  /** `[rows, columns]`, current values in the order of the sweep. */
  readonly work: Float64Array;
  /** Columns of `work`. */
  readonly columns: number;
  /** Upper factor of the inverse Hessian, `[columns, columns]`. */
  readonly factor: Float64Array;
  /** First column. */
  readonly start: number;
  /** One past the last column. */
  readonly end: number;
}

function score({ work, columns, factor }: PruneSpan, row: number, column: number): number {
  return (work[row * columns + column] / factor[column * columns + column]) ** 2;
}

/**
 * Marks the cheapest weights of one row of a span so that at most `of - zeros` remain. A span cut short by the end of
 * the rounded columns keeps as many.
 */
export function markPattern(
  pruned: Uint8Array,
  row: number,
  span: PruneSpan,
  sparsity: { zeros: number; of: number },
): void {
  const { start, end, columns } = span;
  const drop = end - start - (sparsity.of - sparsity.zeros);
  const candidates = Array.from({ length: end - start }, (_, i) => start + i);
  candidates.sort((a, b) => score(span, row, a) - score(span, row, b) || a - b);
  for (let i = 0; i < drop; i++) pruned[row * columns + candidates[i]] = 1;
}

/** Marks the cheapest `ratio` of all weights of a span, rows together. */
export function markRatio(pruned: Uint8Array, rows: number, span: PruneSpan, ratio: number): void {
  const { start, end, columns } = span, width = end - start;
  const scores = Float64Array.from(
    { length: rows * width },
    (_, i) => score(span, Math.floor(i / width), start + i % width),
  );
  const threshold = scores.slice().sort()[Math.floor(ratio * scores.length)];
  for (let i = 0; i < scores.length; i++) {
    if (scores[i] < threshold) pruned[Math.floor(i / width) * columns + start + i % width] = 1;
  }
}
