// The one place where loading meets quantized layers: a checkpoint with `quantization_config` is restored here, ours as
// QUIK layers, those of other tools as weight-only ones.
import { readQuikConfig, readQuikLayer, readStoredLinear, type TensorReader } from "../io/mod.ts";
import type { Backend } from "../kernels/mod.ts";
import { CodebookLinear, DeviceQuikLinear, type Linear } from "../ops/mod.ts";
import type { BlockGrid, Quantized } from "../quant/mod.ts";

/** A layer to restore. */
export interface LayerPlace {
  /** Full module name; parts of a fused projection have a suffix. */
  readonly name: string;
  /** The module as other tools name it: the whole of a fused projection. */
  readonly module: string;
  /** Rows of that module that make this layer, or null for all. */
  readonly rows: readonly number[] | null;
}

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
 * @param place Name and rows of the layer.
 * @param reader The checkpoint.
 * @param options Backend and `quantization_config`.
 * @returns The layer, or undefined where the checkpoint keeps this one dense.
 * @throws {TypeError} If the quantization method is unknown.
 * @throws {RangeError} If a tensor of the layer is missing or has another shape.
 */
export async function restoreLinear(
  place: LayerPlace,
  reader: TensorReader,
  options: RestoreOptions,
): Promise<Linear | undefined> {
  const { backend, config } = options;
  if ((config as { quant_method?: unknown }).quant_method === "quik") {
    const { modules } = readQuikConfig(config);
    if (!Object.hasOwn(modules, place.name)) return undefined;
    const { weights, bias } = await readQuikLayer(reader, place.name, modules[place.name]);
    return new DeviceQuikLinear(backend, weights, bias);
  }
  const stored = await readStoredLinear(reader, place.module, config);
  if (!stored) return undefined;
  const { rows } = place;
  if (!rows) return new CodebookLinear(backend, stored.weight, stored.bias);
  const bias = stored.bias && Float32Array.from(rows, (row) => stored.bias![row]);
  return new CodebookLinear(backend, selectQuantizedRows(stored.weight, rows), bias);
}

/** The given rows of a quantized matrix, each with its own scales. */
export function selectQuantizedRows(weight: Quantized, rows: readonly number[]): Quantized {
  const { codes, qparams } = weight;
  const { cols, blockRows, gridCols } = qparams.grid;
  const grid: BlockGrid = { ...qparams.grid, rows: rows.length, blockRows: 1, gridRows: rows.length };
  const selected = codes.slice(0, rows.length * cols);
  rows.forEach((row, i) => selected.set(codes.subarray(row * cols, (row + 1) * cols), i * cols));
  const params = (values: Float32Array<ArrayBuffer>) => {
    const chosen = new Float32Array(rows.length * gridCols);
    rows.forEach((row, i) => {
      const first = Math.floor(row / blockRows) * gridCols;
      chosen.set(values.subarray(first, first + gridCols), i * gridCols);
    });
    return chosen;
  };
  const { scale, zeroPoint } = qparams;
  return {
    codes: selected,
    qparams: { ...qparams, grid, scale: params(scale), zeroPoint: zeroPoint && params(zeroPoint) },
  };
}
