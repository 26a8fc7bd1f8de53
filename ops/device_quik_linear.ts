// A QUIK layer on a backend: its buffers in device layout, and the ops that run it: two that share a quantized input, or for
// a few tokens one, which costs less than handing the input over.
import { encodeArray, float16, pack } from "../formats/mod.ts";
import {
  type Backend,
  type DeviceBuffer,
  float16RowBytes,
  packedRowBytes,
  type QuikLayerSpec,
  type QuikLinearSpec,
} from "../kernels/mod.ts";
import type { Matrix, QuikWeights } from "../quant/mod.ts";
import { DenseInput } from "./_dense_input.ts";
import type { Linear, PreparedInput } from "./linear.ts";
import { DeviceTensor, runKernel, uploadBytes } from "./tensor.ts";

/** The quantized input that layers with the same bits and outlier columns share: an explicit value, not a cache. */
class QuantizedInput implements PreparedInput {
  constructor(
    readonly rows: number,
    readonly codes: DeviceBuffer,
    readonly qparams: DeviceBuffer,
    readonly outliers: DeviceBuffer,
  ) {}

  [Symbol.dispose](): void {
    this.codes.dispose();
    this.qparams.dispose();
    this.outliers.dispose();
  }
}

/** Most tokens for which every layer quantizes its input itself. */
const FEW_TOKENS = 4;

/** A QUIK layer on a backend. It owns its buffers. */
export class DeviceQuikLinear implements Linear {
  /** Names bits and outlier columns. */
  readonly inputKey: string;
  /** Input features, outliers included. */
  readonly inputs: number;
  /** Output features. */
  readonly outputs: number;
  /** All stored bits over the number of weights. */
  readonly bitsPerWeight: number;
  /** The quantized weights on the host, as they are saved. */
  readonly weights: QuikWeights;
  /** float32 `[outputs]`, on the host. */
  readonly bias: Float32Array<ArrayBuffer> | undefined;
  readonly #backend: Backend;
  readonly #shape: Pick<QuikLinearSpec, "activationBits" | "weightBits" | "inner" | "outliers">;
  readonly #columns: readonly [base: DeviceBuffer, outlier: DeviceBuffer];
  readonly #weights: readonly DeviceBuffer[];

  /** Copies quantized weights, and perhaps a bias, to a backend. */
  constructor(backend: Backend, weights: QuikWeights, bias?: Float32Array<ArrayBuffer>) {
    const { bits, baseIndices, outlierIndices } = weights;
    const inner = baseIndices.length;
    const outputs = weights.scales.length;
    this.weights = weights;
    this.bias = bias;
    this.#backend = backend;
    this.inputs = inner + outlierIndices.length;
    this.outputs = outputs;
    this.bitsPerWeight = quikBitsPerWeight(weights);
    this.inputKey = `quik ${bits} ${outlierIndices.join(",")}`;
    this.#shape = { activationBits: bits, weightBits: bits, inner, outliers: outlierIndices.length };
    const upload = (data: ArrayBufferView<ArrayBuffer>): DeviceBuffer => uploadBytes(backend, data);
    this.#columns = [upload(baseIndices), upload(outlierIndices)];
    this.#weights = [
      upload(pack(weights.codes, bits, { shape: [outputs, inner], rowBytes: packedRowBytes(inner, bits) })),
      upload(weights.scales),
      upload(weights.reduced),
      upload(packHalfRows(weights.outlierWeight)),
      ...(bias ? [upload(bias)] : []),
    ];
  }

  /** Quantizes the base columns of each token and sets its outlier columns aside, unless there are few tokens. */
  async prepareInput(x: DeviceTensor): Promise<PreparedInput> {
    const { inner, outliers, activationBits: bits } = this.#shape;
    const { rows, columns } = x;
    if (rows <= FEW_TOKENS) return new DenseInput(x);
    const input = new QuantizedInput(
      rows,
      this.#backend.allocate(rows * packedRowBytes(inner, bits)),
      this.#backend.allocate(rows * 8),
      this.#backend.allocate(rows * float16RowBytes(outliers)),
    );
    const spec = { op: "quantize_activations", rows, columns, outliers, bits } as const;
    const outputs = [input.codes, input.qparams, input.outliers];
    await runKernel(this.#backend, spec, [x.buffer, ...this.#columns], outputs);
    return input;
  }

  /** The integer product with its epilogue. */
  async apply(input: PreparedInput): Promise<DeviceTensor> {
    const { rows } = input;
    const shape = { rows, columns: this.outputs, ...this.#shape, bias: this.#weights.length > 4 };
    if (input instanceof DenseInput) {
      return await this.#run({ op: "quik_layer", ...shape }, [input.tensor.buffer, ...this.#columns]);
    }
    if (input instanceof QuantizedInput) {
      return await this.#run({ op: "quik_linear", ...shape }, [input.codes, input.qparams, input.outliers]);
    }
    throw new TypeError("Cannot apply a QUIK layer to the input of another kind of layer");
  }

  /** Runs an op that takes the weights after some buffers. */
  async #run(spec: QuikLinearSpec | QuikLayerSpec, first: readonly DeviceBuffer[]): Promise<DeviceTensor> {
    const y = new DeviceTensor(this.#backend, spec.rows, this.outputs);
    await runKernel(this.#backend, spec, [...first, ...this.#weights], [y.buffer]);
    return y;
  }

  /** Frees the buffers. */
  dispose(): void {
    for (const buffer of [...this.#columns, ...this.#weights]) buffer.dispose();
  }

  /** Frees the buffers. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Stored bits of a QUIK layer over its number of weights: codes, float32 scales and reduced weights, outlier columns
 * in float16 and their uint32 indices. The bias is not counted.
 *
 * @param weights The quantized weights.
 * @returns Bits per weight.
 */
export function quikBitsPerWeight(weights: QuikWeights): number {
  const { bits, codes, scales, reduced, outlierWeight, outlierIndices, baseIndices } = weights;
  const stored = codes.length * bits + (scales.length + reduced.length + outlierIndices.length) * 32 +
    outlierWeight.data.length * 16;
  return stored / (scales.length * (baseIndices.length + outlierIndices.length));
}

/** A matrix as float16 device rows, padded to 16 bytes. */
function packHalfRows(matrix: Matrix): Uint16Array<ArrayBuffer> {
  const stride = float16RowBytes(matrix.cols) / 2;
  const halves = new Uint16Array(matrix.rows * stride);
  const encoded = encodeArray(float16, matrix.data);
  for (let row = 0; row < matrix.rows; row++) {
    halves.set(encoded.subarray(row * matrix.cols, (row + 1) * matrix.cols), row * stride);
  }
  return halves;
}
