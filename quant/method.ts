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

/** One product of a quantized layer's forward. */
export interface ForwardTerm {
  /** `[outputs, features]` dequantized weights. */
  readonly weight: Matrix;
  /** What the product takes instead of the layer's input `[tokens, inputs]`: permuted, scaled, rotated, rounded to the
   * activation's format; `[tokens, features]`. Default: the input itself. Deterministic, and does not keep its argument. */
  readonly input?: (input: Matrix) => Matrix;
}

/** A layer after quantization. */
export interface QuantizedLinear {
  /** All stored bits (codes, scales, zeros, indices, sparse and low-rank parts; not the bias) over the number of weights. */
  readonly bitsPerWeight: number;
  /**
   * The forward as `sum of term.input(x) * term.weight^T, + bias`, for whoever computes the products elsewhere, such as on
   * a fast backend. Absent if the forward has no such form.
   */
  readonly terms?: readonly ForwardTerm[];
  /** `[outputs]`, added after the terms. */
  readonly bias?: Float32Array<ArrayBuffer>;
  /** The reference forward of `input [tokens, inputs]`, activation quantization and bias included. Returns `[tokens, outputs]`. */
  forward(input: Matrix): Matrix;
}

/** A way to quantize linear layers. A user's own method is one object of this shape. */
export interface LinearMethod {
  /** The name by which `quik compare --methods` knows it. */
  readonly name: string;
  /** Bits of a weight's code, for tables; 16 means float. */
  readonly weightBits?: number;
  /** Bits of an activation's code, for tables; 16 means float. */
  readonly activationBits?: number;
  /** Quantizes one layer. Must not change its arguments. */
  quantize(layer: LinearLayer, calibration: LayerCalibration): Promise<QuantizedLinear>;
}
