// The QUIK layer (arXiv 2310.09259): 4- or 8-bit weights and activations with a few input columns in 16 bits.
import { type Backend, createReferenceBackend } from "../kernels/mod.ts";
import {
  createMatrix,
  type Matrix,
  type QuikWeights,
  quikWeights,
  type QuikWeightsOptions,
} from "../quant/mod.ts";
import { applyLinear } from "./linear.ts";
import { DeviceQuikLinear } from "./device_quik_linear.ts";
import { DeviceTensor } from "./tensor.ts";

/** A batch of any shape whose last dimension are the features. */
export interface Batch {
  /** All values, row-major. */
  readonly data: Float32Array<ArrayBuffer>;
  /** `[..., features]`. */
  readonly shape: readonly number[];
}

/** A float layer: `y = x * weight^T + bias`. */
export interface FloatLayer {
  /** `[outputs, inputs]`. */
  readonly weight: Matrix;
  /** `[outputs]`. */
  readonly bias?: Float32Array<ArrayBuffer>;
}

/**
 * A quantized linear layer on the host: codes, scales and outlier columns. `forward` runs it on any backend;
 * `upload` puts it on one for good.
 *
 * @example One layer, no calibration
 * ```ts
 * import { QuikLinear } from "@quik/quant/ops";
 * import { createMatrix } from "@quik/quant/quant";
 * import { assertAlmostEquals } from "@std/assert";
 *
 * const weight = createMatrix(2, 4, Float32Array.of(7, -3, 1, 0, 2, 5, -7, 4));
 * using layer = QuikLinear.fromFloat({ weight }, { absmax: new Float32Array(4), rounding: "nearest" });
 * const y = await layer.forward(createMatrix(1, 4, Float32Array.of(0, 1, 2, 15)));
 * assertAlmostEquals(y.data[0], -1, 1e-5);
 * ```
 */
export class QuikLinear implements Disposable {
  /** Codes, scales, reduced weights and outlier columns. */
  readonly weights: QuikWeights;
  /** float32 `[outputs]`. */
  readonly bias: Float32Array<ArrayBuffer> | undefined;
  readonly #uploaded = new Map<Backend, DeviceQuikLinear>();
  #reference: Backend | undefined;

  /** Wraps weights that are already quantized. */
  constructor(weights: QuikWeights, bias?: Float32Array<ArrayBuffer>) {
    if (bias && bias.length !== weights.scales.length) {
      throw new RangeError(`Cannot add a bias of ${bias.length} values to ${weights.scales.length} outputs`);
    }
    this.weights = weights;
    this.bias = bias;
  }

  /**
   * Quantizes a float layer.
   *
   * @param layer Weight and perhaps a bias.
   * @param options Bits, outlier columns, clipping, rounding, and the calibration that these need.
   * @returns The quantized layer.
   * @throws {RangeError} If shapes, bits or the outlier count do not fit.
   */
  static fromFloat(layer: FloatLayer, options: QuikWeightsOptions): QuikLinear {
    return new QuikLinear(quikWeights(layer.weight, options), layer.bias);
  }

  /** Input features, outliers included. */
  get inputs(): number {
    return this.weights.baseIndices.length + this.weights.outlierIndices.length;
  }

  /** Output features. */
  get outputs(): number {
    return this.weights.scales.length;
  }

  /** Copies the layer to a backend. The result is the caller's to dispose. */
  upload(backend: Backend): DeviceQuikLinear {
    return new DeviceQuikLinear(backend, this.weights, this.bias);
  }

  /** Multiplies host values: uploads the layer to the backend at the first call and keeps it there until `dispose`.
   * Without a backend it runs on the reference backend. */
  async forward(input: Matrix, backend?: Backend): Promise<Matrix>;
  /** The same for a batch `[..., inputs]`; returns `[..., outputs]`. */
  async forward(input: Batch, backend?: Backend): Promise<Batch>;
  async forward(input: Matrix | Batch, backend?: Backend): Promise<Matrix | Batch> {
    const matrix = "shape" in input ? flatten(input) : input;
    const target = backend ?? (this.#reference ??= createReferenceBackend());
    let linear = this.#uploaded.get(target);
    if (!linear) this.#uploaded.set(target, linear = this.upload(target));
    using x = DeviceTensor.fromMatrix(target, matrix);
    using y = await applyLinear(linear, x);
    const result = await y.toMatrix();
    return "shape" in input
      ? { data: result.data, shape: [...input.shape.slice(0, -1), this.outputs] }
      : result;
  }

  /** Frees the copies that `forward` made. */
  dispose(): void {
    for (const linear of this.#uploaded.values()) linear.dispose();
    this.#uploaded.clear();
    this.#reference?.dispose();
    this.#reference = undefined;
  }

  /** Frees the copies that `forward` made. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

function flatten(batch: Batch): Matrix {
  const features = batch.shape.at(-1);
  if (features === undefined) throw new RangeError("Cannot multiply a batch without dimensions");
  return createMatrix(
    batch.shape.slice(0, -1).reduce((product, size) => product * size, 1),
    features,
    batch.data,
  );
}
