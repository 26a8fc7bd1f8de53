// The leading singular triplets with the products by the matrix on a backend, in float32; orthogonalization and the small
// decomposition stay on the host, in float64.
import type { Backend, DeviceBuffer } from "../kernels/mod.ts";
import {
  isSketched,
  type Matrix,
  type Matrix64,
  subspaceIteration,
  type SvdResult,
  toMatrix64,
  truncatedSvd,
  type TruncatedSvdOptions,
} from "../quant/mod.ts";
import { runKernel, uploadBytes } from "./tensor.ts";

/**
 * What `truncatedSvd` in the quant room computes, for matrices that are large: the two products of each step, which are nearly
 * all of its work, run on a backend. Small matrices are decomposed on the host.
 *
 * @param backend Where the products run; it must support `dense_linear` with float32 weights.
 * @param matrix `[rows, cols]`.
 * @param rank Triplets wanted; at most `min(rows, cols)` are returned.
 * @param options Sketch size, number of iterations and start.
 * @returns The triplets, accurate to float32.
 * @throws {RangeError} If the rank is not a positive integer.
 * @throws {TypeError} If the backend lacks the op.
 *
 * @example Usage
 * ```ts
 * import { createReferenceBackend } from "@quik/quant/kernels";
 * import { deviceTruncatedSvd } from "@quik/quant/ops";
 * import { createMatrix } from "@quik/quant/quant";
 * import { assertAlmostEquals } from "@std/assert";
 *
 * using backend = createReferenceBackend();
 * const { s } = await deviceTruncatedSvd(backend, createMatrix(2, 2, Float32Array.of(3, 0, 0, 4)), 1);
 * assertAlmostEquals(s[0], 4, 1e-6);
 * ```
 */
export async function deviceTruncatedSvd(
  backend: Backend,
  matrix: Matrix,
  rank: number,
  options: TruncatedSvdOptions = {},
): Promise<SvdResult> {
  if (!isSketched(matrix, rank, options)) return truncatedSvd(toMatrix64(matrix), rank, options);
  const { rows, cols } = matrix;
  using memory = new DisposableStack();
  const upload = (data: ArrayBufferView<ArrayBuffer>): DeviceBuffer => memory.use(uploadBytes(backend, data));
  const weights = { right: upload(matrix.data), left: upload(transposed(matrix)) };
  const steps = subspaceIteration(matrix, rank, options);
  let step = steps.next();
  while (!step.done) {
    const { vectors, side } = step.value;
    const [columns, inner] = side === "right" ? [rows, cols] : [cols, rows];
    step = steps.next(await product(backend, vectors, { weight: weights[side], columns, inner }));
  }
  return step.value;
}

/** `vectors * weight^T`, `[k, columns]`. */
async function product(
  backend: Backend,
  vectors: Matrix64,
  { weight, columns, inner }: { weight: DeviceBuffer; columns: number; inner: number },
): Promise<Matrix64> {
  using x = uploadBytes(backend, new Float32Array(vectors.data));
  using y = backend.allocate(vectors.rows * columns * 4);
  const spec = { op: "dense_linear", rows: vectors.rows, columns, inner } as const;
  await runKernel(backend, { ...spec, weightType: "float32", bias: false }, [x, weight], [y]);
  const result = new Float32Array(await backend.read(y));
  return { data: new Float64Array(result), rows: vectors.rows, cols: columns };
}

function transposed({ data, rows, cols }: Matrix): Float32Array<ArrayBuffer> {
  const result = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) result[col * rows + row] = data[row * cols + col];
  }
  return result;
}
