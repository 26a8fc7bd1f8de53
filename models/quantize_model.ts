// QUIK on a whole model (arXiv 2310.09259): block by block, weights and activations to 4 bits, a few outlier columns
// in 16, the down projection in 8.
import { DenseLinear, type DeviceQuikLinear } from "../ops/mod.ts";
import { dequantizeQuik, type LayerCalibration } from "../quant/mod.ts";
import { denseLinear } from "./_dense_linear.ts";
import { quantizeLayer } from "./_quantize_layer.ts";
import { activationMaxima } from "./activation_maxima.ts";
import { calibrate } from "./calibrate.ts";
import type { LinearSlot } from "./linear_slot.ts";
import type { Model } from "./model.ts";

/** Options of {@linkcode quantizeModel}. */
export interface QuantizeModelOptions {
  /** Token ids of each calibration window. */
  readonly windows: readonly Uint32Array<ArrayBuffer>[];
  /** Bits of weights and activations. Default 4. */
  readonly bits?: 4 | 8;
  /** Outlier columns of a layer as wide as the residual stream; wider layers get proportionally more. Default 1/16 of
   * the width, at most the paper's 256. */
  readonly outliers?: number;
  /** Bits of the down projection, whose inputs vary most. Default 8. */
  readonly downBits?: 4 | 8;
  /** Whether to search a clipped range per output. Default true. */
  readonly clip?: boolean;
  /** How weights are rounded. Default `gptq`. */
  readonly rounding?: "gptq" | "nearest";
  /** Whether GPTQ rounds base columns from the largest inputs to the smallest, which errs less than the authors' opposite
   * order. Default true. */
  readonly actOrder?: boolean;
  /** Whether GPTQ reckons with the rounding error of 4-bit activations, which the paper's does not. Default true. */
  readonly noiseAware?: boolean;
  /** GPTQ's damping. Default 0.01. */
  readonly percDamp?: number;
  /** The zero-outlier rule: layers whose inputs never exceed this keep no outliers. Default 0. */
  readonly threshold?: number;
  /** Called after each window that is measured and each layer that is quantized. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the work; the model is then partly quantized and should be disposed. */
  readonly signal?: AbortSignal;
}

/** Input rows from which the rounding error of a layer's activations is estimated. */
const NOISE_SAMPLES = 512;

/**
 * Quantizes every linear layer of a model's blocks in place. Outlier columns are those that are largest in the float
 * model; Hessians come from a model whose earlier layers have quantized weights and float activations. Both as in the
 * authors' code.
 *
 * @param model The model, with dense layers.
 * @param options Calibration text, bits, outliers, rounding.
 * @throws {TypeError} If a layer is quantized already.
 * @throws {RangeError} If there is no calibration text, or a weight or an activation is not finite.
 */
export async function quantizeModel(model: Model, options: QuantizeModelOptions): Promise<void> {
  const { rounding = "gptq", windows, onProgress, signal } = options;
  for (const slot of model.linears.values()) requireDense(slot);
  const steps = windows.length + model.linears.size;
  const maxima = await activationMaxima(model, windows, {
    signal,
    onProgress: (done) => onProgress?.(done, steps),
  });
  const { hiddenSize } = model.config;
  let done = windows.length;
  const quantize = async (slot: LinearSlot, calibration?: LayerCalibration): Promise<DeviceQuikLinear> => {
    signal?.throwIfAborted();
    const context = { name: slot.name, hiddenSize, absmax: maxima.get(slot.name)!, calibration };
    const quik = await quantizeLayer(requireDense(slot), context, options);
    onProgress?.(++done, steps);
    return quik;
  };
  if (rounding === "nearest") {
    for (const slot of model.linears.values()) slot.replace(await quantize(slot));
  } else await quantizeInSequence(model, quantize, options);
}

/** Lets each group of layers see what its quantized predecessors make of the calibration text. */
async function quantizeInSequence(
  model: Model,
  quantize: (slot: LinearSlot, calibration: LayerCalibration) => Promise<DeviceQuikLinear>,
  options: QuantizeModelOptions,
): Promise<void> {
  const finished: [LinearSlot, DeviceQuikLinear][] = [];
  await calibrate(model, options.windows, {
    samples: NOISE_SAMPLES,
    signal: options.signal,
    visit: async ({ slots, calibration }) => {
      for (const slot of slots) {
        const quik = await quantize(slot, calibration);
        finished.push([slot, quik]);
        // For calibrating what follows: the quantized weights, activations in float.
        slot.replace(denseLinear(model.backend, { weight: dequantizeQuik(quik.weights), bias: quik.bias }));
      }
    },
    blockDone: () => {
      for (const [slot, quik] of finished.splice(0)) slot.replace(quik);
    },
  });
}

function requireDense(slot: LinearSlot): DenseLinear {
  if (slot.linear instanceof DenseLinear) return slot.linear;
  throw new TypeError(`Cannot quantize ${slot.name}: it is quantized already`);
}
