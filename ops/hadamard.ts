// Hadamard rotations of activations on a backend: what QuaRot and SpinQuant compute while a model runs.
import type { Backend, DeviceBuffer } from "../kernels/mod.ts";
import { hadamardMatrix, type HadamardRotation } from "../quant/mod.ts";
import { DeviceTensor, runKernel, uploadBytes } from "./tensor.ts";

/**
 * A Hadamard rotation on a backend. It owns the explicit matrix and the signs, where the rotation has them.
 *
 * @example Usage
 * ```ts
 * import { createReferenceBackend } from "@quik/quant/kernels";
 * import { DeviceHadamard, DeviceTensor } from "@quik/quant/ops";
 * import { createMatrix, hadamard } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * using backend = createReferenceBackend();
 * using rotation = new DeviceHadamard(backend, hadamard(4));
 * using x = DeviceTensor.fromMatrix(backend, createMatrix(1, 4, Float32Array.of(8, 0, 0, 0)));
 * using y = await rotation.apply(x);
 * assertEquals((await y.toMatrix()).data, Float32Array.of(4, 4, 4, 4));
 * ```
 */
export class DeviceHadamard implements Disposable {
  /** Number of features that it rotates. */
  readonly size: number;
  readonly #backend: Backend;
  readonly #rotation: HadamardRotation;
  readonly #constants: readonly DeviceBuffer[];

  /** Copies what the rotation needs to a backend. */
  constructor(backend: Backend, rotation: HadamardRotation) {
    const { order, signs } = rotation;
    this.size = rotation.size;
    this.#backend = backend;
    this.#rotation = rotation;
    this.#constants = [
      ...(order > 1 ? [uploadBytes(backend, new Float32Array(hadamardMatrix(order)!))] : []),
      ...(signs ? [uploadBytes(backend, signs)] : []),
    ];
  }

  /**
   * Rotates rows, or each run of `size` columns in them, such as a head.
   *
   * @param x `[rows, columns]`; columns a multiple of `size`.
   * @param options `inverse`: whether to undo the rotation instead. Default false.
   * @returns A new tensor of the shape of `x`.
   * @throws {RangeError} If the columns are not a multiple of `size`.
   */
  async apply(x: DeviceTensor, options: { readonly inverse?: boolean } = {}): Promise<DeviceTensor> {
    const { size: columns } = this;
    const { inverse = false } = options;
    const { blockSize, order, signs } = this.#rotation;
    const runs = x.columns / columns;
    if (!Number.isInteger(runs)) {
      throw new RangeError(
        `Cannot rotate ${x.columns} columns in runs of ${columns}: they must divide evenly`,
      );
    }
    const y = new DeviceTensor(this.#backend, x.rows, x.columns);
    const spec = {
      ...{ op: "hadamard", rows: x.rows * runs, columns, blockSize, order, inverse } as const,
      signs: signs !== undefined,
    };
    await runKernel(this.#backend, spec, [x.buffer, ...this.#constants], [y.buffer]);
    return y;
  }

  /** Frees the memory. */
  dispose(): void {
    for (const buffer of this.#constants) buffer.dispose();
  }

  /** Frees the memory. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
