// Singular value decomposition: exact by one-sided Jacobi rotations, and the leading part by a random sketch.
import { createMatrix64, type Matrix64, multiply64, multiplyTransposed64, transpose64 } from "./matrix64.ts";
import { qr } from "./qr.ts";
import { createRandom } from "./random.ts";

/** `matrix = u * diag(s) * v^T`. */
export interface SvdResult {
  /** `[rows, k]`, orthonormal columns. */
  readonly u: Matrix64;
  /** `k` singular values, descending. */
  readonly s: Float64Array<ArrayBuffer>;
  /** `[cols, k]`, orthonormal columns. */
  readonly v: Matrix64;
}

/** Relative size of an inner product below which two columns count as orthogonal. */
const ORTHOGONAL = 1e-14;
const MAX_SWEEPS = 40;
/** Directions sketched beyond the rank unless said otherwise. */
const OVERSAMPLE = 10;
/** Smaller side up to which the full decomposition is as cheap as a sketch. */
const EXACT_LIMIT = 64;

/**
 * The full singular value decomposition, by QR and one-sided Jacobi rotations (Hestenes), accurate to rounding for
 * large and small singular values alike. Meant for up to about 512 columns or rows; see {@linkcode truncatedSvd}.
 *
 * @param matrix `[rows, cols]`.
 * @returns `k = min(rows, cols)` triplets.
 *
 * @example Usage
 * ```ts
 * import { createMatrix64, svd } from "@quik/quant/quant";
 * import { assertAlmostEquals } from "@std/assert";
 *
 * const { s } = svd(createMatrix64(2, 2, Float64Array.of(3, 0, 4, 5)));
 * assertAlmostEquals(s[0] * s[1], 15, 1e-12);
 * ```
 */
export function svd(matrix: Matrix64): SvdResult {
  if (matrix.rows < matrix.cols) {
    const { u, s, v } = svd(transpose64(matrix));
    return { u: v, s, v: u };
  }
  const { q, r } = qr(matrix);
  const size = matrix.cols;
  // The columns of the lower triangular r^T converge faster than those of r. Row j of `columns` is column j of r^T; the
  // rotations are repeated on the rows of `rotation`, which becomes the right singular vectors of r^T.
  const columns = r.data;
  const rotation = new Float64Array(size * size);
  for (let i = 0; i < size; i++) rotation[i * size + i] = 1;
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    if (!jacobiSweep(columns, rotation, size)) break;
  }
  const { u, s, v } = sortedTriplets(columns, rotation, size);
  return { u: multiply64(q, v), s, v: u };
}

/** Makes every pair of rows of `columns` orthogonal once; returns whether any pair needed it. */
function jacobiSweep(columns: Float64Array, rotation: Float64Array, size: number): boolean {
  const squares = squaredLengths(columns, size);
  let rotated = false;
  for (let p = 0; p < size - 1; p++) {
    const x = columns.subarray(p * size, (p + 1) * size);
    for (let q = p + 1; q < size; q++) {
      const y = columns.subarray(q * size, (q + 1) * size);
      let dot = 0;
      for (let i = 0; i < size; i++) dot += x[i] * y[i];
      if (Math.abs(dot) <= ORTHOGONAL * Math.sqrt(squares[p] * squares[q])) continue;
      rotated = true;
      const zeta = (squares[q] - squares[p]) / (2 * dot);
      const tangent = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
      const cosine = 1 / Math.sqrt(1 + tangent * tangent);
      rotatePair(x, y, cosine, cosine * tangent);
      rotatePair(
        rotation.subarray(p * size, (p + 1) * size),
        rotation.subarray(q * size, (q + 1) * size),
        cosine,
        cosine * tangent,
      );
      squares[p] = Math.max(0, squares[p] - tangent * dot);
      squares[q] += tangent * dot;
    }
  }
  return rotated;
}

function squaredLengths(columns: Float64Array, size: number): Float64Array {
  return Float64Array.from({ length: size }, (_, j) => {
    let sum = 0;
    for (let i = j * size; i < (j + 1) * size; i++) sum += columns[i] * columns[i];
    return sum;
  });
}

function rotatePair(x: Float64Array, y: Float64Array, cosine: number, sine: number): void {
  for (let i = 0; i < x.length; i++) {
    const [a, b] = [x[i], y[i]];
    x[i] = cosine * a - sine * b;
    y[i] = sine * a + cosine * b;
  }
}

/** Reads singular values as lengths of the orthogonal columns and sorts the triplets by them. */
function sortedTriplets(columns: Float64Array, rotation: Float64Array, size: number): SvdResult {
  const lengths = squaredLengths(columns, size).map(Math.sqrt);
  const order = Array.from(lengths.keys()).sort((a, b) => lengths[b] - lengths[a]);
  const s = Float64Array.from(order, (j) => lengths[j]);
  const uTransposed = createMatrix64(size, size);
  const vTransposed = createMatrix64(size, size);
  const negligible = s[0] * Number.EPSILON;
  for (let k = 0; k < size; k++) {
    const from = order[k] * size;
    vTransposed.data.set(rotation.subarray(from, from + size), k * size);
    if (s[k] > negligible) {
      for (let i = 0; i < size; i++) uTransposed.data[k * size + i] = columns[from + i] / s[k];
    } else {
      completeBasis(uTransposed.data, k, size);
    }
  }
  return { u: transpose64(uTransposed), s, v: transpose64(vTransposed) };
}

/** Fills row `k` with a unit vector orthogonal to the rows before it: the one a zero singular value leaves open. */
function completeBasis(basis: Float64Array, k: number, size: number): void {
  const candidate = basis.subarray(k * size, (k + 1) * size);
  for (let axis = 0; axis < size; axis++) {
    candidate.fill(0);
    candidate[axis] = 1;
    // Twice, since one pass of Gram-Schmidt leaves rounding along the rows.
    for (let pass = 0; pass < 2; pass++) {
      for (let row = 0; row < k; row++) {
        let dot = 0;
        for (let i = 0; i < size; i++) dot += basis[row * size + i] * candidate[i];
        for (let i = 0; i < size; i++) candidate[i] -= dot * basis[row * size + i];
      }
    }
    const length = Math.hypot(...candidate);
    // Some axis keeps at least this much, since the axes span the whole space.
    if (length * length < 0.5 / size) continue;
    for (let i = 0; i < size; i++) candidate[i] /= length;
    return;
  }
}

/** Options of {@linkcode truncatedSvd}. */
export interface TruncatedSvdOptions {
  /** Directions sketched beyond the rank. Default 10. */
  readonly oversample?: number;
  /** Multiplications by `matrix * matrix^T`, each followed by QR. Default 4. */
  readonly powerSteps?: number;
  /** Seed of the Gaussian sketch. Default 0. */
  readonly seed?: number;
  /** `[cols, k]`, the right singular vectors of a nearby matrix to start from instead of a random sketch. */
  readonly start?: Matrix64;
}

/**
 * The leading singular triplets, by randomized subspace iteration (Halko, Martinsson and Tropp, arXiv 0909.4061). Falls
 * back to the full decomposition for small matrices and for ranks beyond half of theirs. The first `rank` triplets give the best
 * approximation of that rank up to the convergence of the iteration.
 *
 * @param matrix `[rows, cols]`.
 * @param rank Triplets wanted; at most `min(rows, cols)` are returned.
 * @param options Sketch size, number of iterations and start.
 * @returns `min(rank, rows, cols)` triplets.
 * @throws {RangeError} If the rank is not a positive integer.
 */
export function truncatedSvd(matrix: Matrix64, rank: number, options: TruncatedSvdOptions = {}): SvdResult {
  if (isSketched(matrix, rank, options)) {
    const transposed = transpose64(matrix);
    const steps = subspaceIteration(matrix, rank, options);
    let step = steps.next();
    while (!step.done) {
      const { vectors, side } = step.value;
      step = steps.next(multiplyTransposed64(vectors, side === "right" ? matrix : transposed));
    }
    return step.value;
  }
  return leading(svd(matrix), Math.min(rank, matrix.rows, matrix.cols));
}

/** Whether {@linkcode truncatedSvd} sketches a matrix of this shape, or decomposes it in full. */
export function isSketched(
  { rows, cols }: { readonly rows: number; readonly cols: number },
  rank: number,
  { oversample = OVERSAMPLE }: TruncatedSvdOptions = {},
): boolean {
  if (!Number.isInteger(rank) || rank < 1) {
    throw new RangeError(`Cannot truncate to rank ${rank}: it must be a positive integer`);
  }
  const limit = Math.min(rows, cols);
  return limit > EXACT_LIMIT && 2 * (rank + oversample) < limit;
}

/** A product that {@linkcode subspaceIteration} needs of its matrix. */
export interface SubspaceProduct {
  /** The vectors as rows: `[k, cols]` for the right side, `[k, rows]` for the left. */
  readonly vectors: Matrix64;
  /** Wanted: `vectors * matrix^T` `[k, rows]` for `right`, `vectors * matrix` `[k, cols]` for `left`. */
  readonly side: "left" | "right";
}

/**
 * The iteration of {@linkcode truncatedSvd} without its heavy products: it yields each and is to be resumed with the result,
 * so that the products can be computed anywhere, such as on a backend.
 *
 * @param shape Shape of the matrix, which {@linkcode isSketched} must have accepted.
 * @param rank Triplets wanted.
 * @param options Sketch size, number of iterations and start.
 * @returns The triplets.
 */
export function* subspaceIteration(
  { cols }: { readonly rows: number; readonly cols: number },
  rank: number,
  options: TruncatedSvdOptions = {},
): Generator<SubspaceProduct, SvdResult, Matrix64> {
  const { oversample = OVERSAMPLE, powerSteps = 4, seed = 0, start } = options;
  const { normal } = createRandom(seed);
  const sketch = createMatrix64(cols, rank + oversample);
  for (let row = 0; row < cols; row++) {
    for (let col = 0; col < sketch.cols; col++) {
      const known = start !== undefined && col < start.cols;
      sketch.data[row * sketch.cols + col] = known ? start.data[row * start.cols + col] : normal();
    }
  }
  let basis = orthonormal(yield { vectors: transpose64(sketch), side: "right" });
  for (let step = 0; step < powerSteps; step++) {
    const right = orthonormal(yield { vectors: transpose64(basis), side: "left" });
    basis = orthonormal(yield { vectors: transpose64(right), side: "right" });
  }
  const small = svd(yield { vectors: transpose64(basis), side: "left" });
  return leading({ ...small, u: multiply64(basis, small.u) }, rank);
}

/** Orthonormal columns that span the rows of a matrix. */
function orthonormal(rows: Matrix64): Matrix64 {
  return qr(transpose64(rows)).q;
}

function leading({ u, s, v }: SvdResult, rank: number): SvdResult {
  return { u: leadingColumns(u, rank), s: s.slice(0, rank), v: leadingColumns(v, rank) };
}

function leadingColumns(matrix: Matrix64, count: number): Matrix64 {
  const result = createMatrix64(matrix.rows, count);
  for (let row = 0; row < matrix.rows; row++) {
    const from = row * matrix.cols;
    result.data.set(matrix.data.subarray(from, from + count), row * count);
  }
  return result;
}
