// A float32 matrix on a backend, and a matrix in a storage type: what ops take and return.
import type { Backend, DeviceBuffer, FloatType, KernelSpec } from "../kernels/mod.ts";
import { createMatrix, type Matrix } from "../quant/mod.ts";

/** A row-major float32 matrix on a backend. It owns its buffer. */
export class DeviceTensor implements Disposable {
  /** Where it lives. */
  readonly backend: Backend;
  /** `rows * columns` float32 values. */
  readonly buffer: DeviceBuffer;
  /** Number of rows. */
  readonly rows: number;
  /** Number of columns. */
  readonly columns: number;

  /** Takes memory for a `[rows, columns]` tensor; its contents are undefined. */
  constructor(backend: Backend, rows: number, columns: number) {
    this.backend = backend;
    this.buffer = backend.allocate(rows * columns * 4);
    this.rows = rows;
    this.columns = columns;
  }

  /** Copies a host matrix to a backend. */
  static fromMatrix(backend: Backend, matrix: Matrix): DeviceTensor {
    const tensor = new DeviceTensor(backend, matrix.rows, matrix.cols);
    backend.write(tensor.buffer, matrix.data);
    return tensor;
  }

  /** Copies the tensor to the host, after all earlier work. */
  async toMatrix(): Promise<Matrix> {
    const bytes = await this.backend.read(this.buffer, { byteLength: this.rows * this.columns * 4 });
    return createMatrix(this.rows, this.columns, new Float32Array(bytes));
  }

  /** Frees the memory. */
  dispose(): void {
    this.buffer.dispose();
  }

  /** Frees the memory. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A row-major matrix on a backend in its storage type, such as a weight as its checkpoint keeps it. */
export interface StoredMatrix extends Disposable {
  /** Where it lives. */
  readonly backend: Backend;
  /** `rows * columns` values of `type`. */
  readonly buffer: DeviceBuffer;
  /** Storage type of a value. */
  readonly type: FloatType;
  /** Number of rows. */
  readonly rows: number;
  /** Number of columns. */
  readonly columns: number;
}

/**
 * Copies a matrix to a backend as it is stored.
 *
 * @param backend Where to.
 * @param matrix Its bytes, storage type and shape.
 * @returns The matrix on the backend; it owns its buffer.
 */
export function uploadStored(
  backend: Backend,
  matrix: { data: ArrayBufferView<ArrayBuffer>; type: FloatType; rows: number; columns: number },
): StoredMatrix {
  const { data, type, rows, columns } = matrix;
  const buffer = uploadBytes(backend, data);
  return { backend, buffer, type, rows, columns, [Symbol.dispose]: () => buffer.dispose() };
}

/** Copies bytes into a new buffer of at least their length. */
export function uploadBytes(backend: Backend, data: ArrayBufferView<ArrayBuffer>): DeviceBuffer {
  const buffer = backend.allocate(data.byteLength);
  backend.write(buffer, data);
  return buffer;
}

/** Prepares and queues one op. */
export async function runKernel(
  backend: Backend,
  spec: KernelSpec,
  inputs: readonly DeviceBuffer[],
  outputs: readonly DeviceBuffer[],
): Promise<void> {
  backend.dispatch(await backend.prepare(spec), inputs, outputs);
}
