// One calibration of the float model, kept: what every method of a comparison starts from.
import { DenseLinear } from "../ops/mod.ts";
import type { LayerCalibration, LinearLayer } from "../quant/mod.ts";
import { calibrate, type CalibrateOptions } from "./calibrate.ts";
import type { LinearSlot } from "./linear_slot.ts";
import type { Model } from "./model.ts";

/** A linear layer of a float model and the statistics of its inputs. */
export interface ObservedLayer {
  /** Where it sits. */
  readonly slot: LinearSlot;
  /** Its name, weight and bias in float32. */
  readonly layer: LinearLayer;
  /** Shared by layers that read the same input. */
  readonly calibration: LayerCalibration;
}

/**
 * Calibrates a float model without changing it, and keeps weights and statistics of every linear layer on the host.
 *
 * @param model The model, with dense layers.
 * @param windows Token ids of each calibration window.
 * @param options Samples to keep, progress, signal.
 * @returns The layers, in the order of the forward.
 * @throws {TypeError} If a layer is quantized already.
 * @throws {RangeError} If there is no window, or the model produces a value that is not finite.
 */
export async function observeLayers(
  model: Model,
  windows: readonly Uint32Array<ArrayBuffer>[],
  options: Omit<CalibrateOptions, "visit" | "blockDone"> = {},
): Promise<ObservedLayer[]> {
  const layers: ObservedLayer[] = [];
  await calibrate(model, windows, {
    ...options,
    visit: async ({ slots, calibration }) => {
      for (const slot of slots) {
        const { linear, name } = slot;
        if (!(linear instanceof DenseLinear)) {
          throw new TypeError(`Cannot compare methods on ${name}: it is quantized already`);
        }
        layers.push({ slot, layer: { name, ...await linear.toHost() }, calibration });
      }
    },
  });
  return layers;
}
