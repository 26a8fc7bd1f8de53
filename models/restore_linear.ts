// The one place where loading meets quantized layers: a checkpoint with `quantization_config` is restored here.
import type { TensorReader } from "../io/mod.ts";
import type { Backend } from "../kernels/mod.ts";
import type { Linear } from "../ops/mod.ts";

/** What restoring takes besides the checkpoint. */
export interface RestoreOptions {
  /** Where the layer is to live. */
  readonly backend: Backend;
  /** `quantization_config` of `config.json`. */
  readonly config: unknown;
}

/**
 * Restores a quantized linear layer from a checkpoint.
 *
 * @param name Full module name of the layer.
 * @param reader The checkpoint.
 * @param options Backend and `quantization_config`.
 * @returns The layer, or undefined where the checkpoint keeps this one dense.
 * @throws {TypeError} If the quantization method is unknown.
 */
export function restoreLinear(
  name: string,
  _reader: TensorReader,
  options: RestoreOptions,
): Promise<Linear | undefined> {
  const method = (options.config as { quant_method?: unknown } | null)?.quant_method;
  return Promise.reject(
    new TypeError(`Cannot restore ${name}: the quantization method ${JSON.stringify(method)} is unknown`),
  );
}
