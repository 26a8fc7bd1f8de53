// What a linear layer on a backend is, dense or quantized, and how several of them share one input.
import type { DeviceTensor } from "./tensor.ts";

/** An input as a linear layer wants it: the tensor itself, or codes with their scales. */
export interface PreparedInput extends Disposable {
  /** Number of tokens. */
  readonly rows: number;
}

/** A linear layer on a backend: `y = x * weight^T + bias`. */
export interface Linear extends Disposable {
  /** Input features. */
  readonly inputs: number;
  /** Output features. */
  readonly outputs: number;
  /** All stored bits over the number of weights. */
  readonly bitsPerWeight: number;
  /** Layers with equal keys can be given one prepared input: same bits, same outlier columns. */
  readonly inputKey: string;
  /** Prepares an input `[rows, inputs]`: quantizes it, if the layer wants that. The input must outlive the result. */
  prepareInput(x: DeviceTensor): Promise<PreparedInput>;
  /** The product with an input that a layer of the same `inputKey` prepared. Returns `[rows, outputs]`. */
  apply(input: PreparedInput): Promise<DeviceTensor>;
}

/**
 * Applies one linear layer.
 *
 * @param linear The layer.
 * @param x `[rows, inputs]`.
 * @returns `[rows, outputs]`.
 */
export async function applyLinear(linear: Linear, x: DeviceTensor): Promise<DeviceTensor> {
  const [y] = await applyLinears([linear], x);
  return y;
}

/**
 * Applies layers that read the same input, such as query, key and value projections. Those with equal input keys
 * share one prepared input, so that it is quantized once (QUIK's shared quantized input, made explicit).
 *
 * @param linears The layers.
 * @param x `[rows, inputs]`.
 * @returns The output of each layer.
 * @throws {RangeError} If a layer does not take the columns of `x`.
 */
export async function applyLinears(linears: readonly Linear[], x: DeviceTensor): Promise<DeviceTensor[]> {
  const prepared = new Map<string, PreparedInput>();
  const results: DeviceTensor[] = [];
  try {
    for (const linear of linears) {
      if (linear.inputs !== x.columns) {
        throw new RangeError(
          `Cannot apply a linear layer of ${linear.inputs} inputs to a tensor of shape [${x.rows}, ${x.columns}]`,
        );
      }
      let input = prepared.get(linear.inputKey);
      if (!input) prepared.set(linear.inputKey, input = await linear.prepareInput(x));
      results.push(await linear.apply(input));
    }
    return results;
  } finally {
    for (const input of prepared.values()) input[Symbol.dispose]();
  }
}
