// The linear layer that is not quantized.
import { bfloat16, decodeArray, float16 } from "../formats/mod.ts";
import type { DeviceBuffer } from "../kernels/mod.ts";
import { createMatrix, type Matrix } from "../quant/mod.ts";
import { DenseInput } from "./_dense_input.ts";
import type { Linear, PreparedInput } from "./linear.ts";
import { DeviceTensor, runKernel, type StoredMatrix } from "./tensor.ts";

const FLOAT_BITS = { float32: 32, float16: 16, bfloat16: 16 } as const;

/** A linear layer with its weight in a float type, multiplied in float32. It owns weight and bias. */
export class DenseLinear implements Linear {
  /** Shared by all dense layers. */
  readonly inputKey = "dense";
  /** `[outputs, inputs]`. */
  readonly weight: StoredMatrix;
  /** float32 `[outputs]`. */
  readonly bias: DeviceBuffer | undefined;

  /** Wraps a weight `[outputs, inputs]` and perhaps a bias that are already on a backend. */
  constructor(weight: StoredMatrix, bias?: DeviceBuffer) {
    this.weight = weight;
    this.bias = bias;
  }

  /** Input features. */
  get inputs(): number {
    return this.weight.columns;
  }

  /** Output features. */
  get outputs(): number {
    return this.weight.rows;
  }

  /** Bits of the storage type. */
  get bitsPerWeight(): number {
    return FLOAT_BITS[this.weight.type];
  }

  /** The input itself. */
  prepareInput(x: DeviceTensor): Promise<PreparedInput> {
    return Promise.resolve(new DenseInput(x));
  }

  /** The product. */
  async apply(input: PreparedInput): Promise<DeviceTensor> {
    if (!(input instanceof DenseInput)) {
      throw new TypeError("Cannot apply a dense layer to a quantized input");
    }
    const { backend, buffer, type, rows: columns, columns: inner } = this.weight;
    const { rows } = input;
    const y = new DeviceTensor(backend, rows, columns);
    const spec = {
      op: "dense_linear",
      rows,
      columns,
      inner,
      weightType: type,
      bias: this.bias !== undefined,
    } as const;
    const inputs = [input.tensor.buffer, buffer, ...(this.bias ? [this.bias] : [])];
    await runKernel(backend, spec, inputs, [y.buffer]);
    return y;
  }

  /** Copies weight and bias to the host, as float32. */
  async toHost(): Promise<{ weight: Matrix; bias?: Float32Array<ArrayBuffer> }> {
    const { backend, buffer, type, rows, columns } = this.weight;
    const byteLength = rows * columns * FLOAT_BITS[type] / 8;
    const bytes = await backend.read(buffer, { byteLength: Math.ceil(byteLength / 4) * 4 });
    const data = type === "float32"
      ? new Float32Array(bytes, 0, rows * columns)
      : decodeArray(type === "float16" ? float16 : bfloat16, new Uint16Array(bytes, 0, rows * columns));
    const bias = this.bias && new Float32Array(await backend.read(this.bias, { byteLength: rows * 4 }));
    return { weight: createMatrix(rows, columns, data), bias };
  }

  /** Frees weight and bias. */
  dispose(): void {
    this.weight[Symbol.dispose]();
    this.bias?.dispose();
  }

  /** Frees weight and bias. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
