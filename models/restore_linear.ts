// The one place where loading meets quantized layers: a checkpoint with `quantization_config` is restored here.
import { readQuikConfig, readQuikLayer, type TensorReader } from "../io/mod.ts";
import type { Backend } from "../kernels/mod.ts";
import { DeviceQuikLinear, type Linear } from "../ops/mod.ts";

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
 * @throws {RangeError} If a tensor of the layer is missing or has another shape.
 */
export async function restoreLinear(
  name: string,
  reader: TensorReader,
  options: RestoreOptions,
): Promise<Linear | undefined> {
  const { modules } = readQuikConfig(options.config);
  if (!Object.hasOwn(modules, name)) return undefined;
  const { weights, bias } = await readQuikLayer(reader, name, modules[name]);
  return new DeviceQuikLinear(options.backend, weights, bias);
}
