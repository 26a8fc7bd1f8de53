// What a comparison finds of a method.

/** How far the output of a quantized layer is from the float layer's. */
export interface LayerError {
  /** Full module name. */
  readonly layer: string;
  /** `||y - y_float|| / ||y_float||` over the calibration samples. */
  readonly error: number;
}

/** What a comparison found of a method. */
export interface MeasuredMethod {
  /** Name of the method. */
  readonly method: string;
  /** Bits of a weight's code, if the method says; 16 means float. */
  readonly weightBits?: number;
  /** Bits of an activation's code, if the method says; 16 means float. */
  readonly activationBits?: number;
  /** Bits of a cached key or value; 16 means float. */
  readonly cacheBits: number;
  /** All stored bits of the linear layers over their number of weights. */
  readonly bitsPerWeight: number;
  /** Perplexity over the evaluation windows. */
  readonly perplexity: number;
  /** Mean over tokens of the Kullback-Leibler divergence of predictions from the float model's, in nats. */
  readonly divergence: number;
  /** Mean over layers of the relative output error. */
  readonly outputError: number;
  /** Largest relative output error of a layer. */
  readonly worstOutputError: number;
  /** Relative output error of each layer, in the order of the forward. */
  readonly layerErrors: readonly LayerError[];
  /** Seconds to quantize the model. */
  readonly quantizeSeconds: number;
  /** Seconds in all, evaluation included. */
  readonly seconds: number;
}

/** A method that failed. */
export interface FailedMethod {
  /** Name of the method. */
  readonly method: string;
  /** Why it failed. */
  readonly error: string;
  /** Seconds until it did. */
  readonly seconds: number;
}

/** A row of a comparison. */
export type ComparisonRow = MeasuredMethod | FailedMethod;
