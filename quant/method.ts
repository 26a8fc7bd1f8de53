// The contract between a quantization method and everything that runs or compares methods.
import type { Matrix } from "./matrix.ts";

/** One linear layer as a method sees it: `y = x * weight^T + bias`. */
export interface LinearLayer {
  /** Full module name, such as `model.layers.0.mlp.down_proj`. */
  readonly name: string;
  /** `[outputs, inputs]`. */
  readonly weight: Matrix;
  /** `[outputs]`. */
  readonly bias?: Float32Array<ArrayBuffer>;
}

/** What calibration learned of the inputs of one layer. */
export interface LayerCalibration {
  /** `max |x_j|` of each input column over all calibration tokens, `[inputs]`. */
  readonly absmax: Float32Array<ArrayBuffer>;
  /** `mean |x_j|` of each input column, `[inputs]`; AWQ's statistic. */
  readonly meanAbs: Float32Array<ArrayBuffer>;
  /** `(2 / tokens) * sum x^T x`, `[inputs, inputs]`, symmetric; GPTQ's Hessian. */
  readonly hessian: Matrix;
  /** Rows sampled evenly from the inputs, `[samples, inputs]`, for methods that search on the layer's output. */
  readonly inputs: Matrix;
  /** Number of tokens behind the statistics. */
  readonly tokens: number;
}

/** A layer after quantization. */
export interface QuantizedLinear {
  /** All stored bits (codes, scales, zeros, indices, sparse and low-rank parts; not the bias) over the number of weights. */
  readonly bitsPerWeight: number;
  /** The reference forward of `input [tokens, inputs]`, activation quantization and bias included. Returns `[tokens, outputs]`. */
  forward(input: Matrix): Matrix;
}

/** A way to quantize linear layers. A user's own method is one object of this shape. */
export interface LinearMethod {
  /** The name by which `quik compare --methods` knows it. */
  readonly name: string;
  /** Quantizes one layer. Must not change its arguments. */
  quantize(layer: LinearLayer, calibration: LayerCalibration): Promise<QuantizedLinear>;
}
