// QUIK on a whole model (arXiv 2310.09259): block by block, weights and activations to 4 bits, a few outlier columns
// in 16, the down projection in 8.
import type { Backend } from "../kernels/mod.ts";
import { DenseLinear, DeviceQuikLinear, deviceQuikWeights, uploadBytes, uploadStored } from "../ops/mod.ts";
import {
  dequantizeQuik,
  type Matrix,
  quikWeights,
  selectOutlierColumns,
  widenedOutlierCount,
} from "../quant/mod.ts";
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
  /** GPTQ's damping. Default 0.01. */
  readonly percDamp?: number;
  /** The zero-outlier rule: layers whose inputs never exceed this keep no outliers. Default 0. */
  readonly threshold?: number;
  /** Called after each window that is measured and each layer that is quantized. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the work; the model is then partly quantized and should be disposed. */
  readonly signal?: AbortSignal;
}

/** Layers that read the product of the feed-forward gate: in 8 bits, with widened outliers. OPT's `fc2` is not among
 * them, as in the paper. */
const DOWN_PROJECTION = /\.(down_proj|dense_4h_to_h)$/;

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
  for (const slot of model.linears.values()) denseLinear(slot);
  const steps = windows.length + model.linears.size;
  const maxima = await activationMaxima(model, windows, {
    signal,
    onProgress: (done) => onProgress?.(done, steps),
  });
  let done = windows.length;
  const quantize = async (slot: LinearSlot, hessian?: Matrix): Promise<DeviceQuikLinear> => {
    signal?.throwIfAborted();
    const quik = await quantizeSlot(model, slot, { absmax: maxima.get(slot.name)!, hessian, options });
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
  quantize: (slot: LinearSlot, hessian: Matrix) => Promise<DeviceQuikLinear>,
  options: QuantizeModelOptions,
): Promise<void> {
  const finished: [LinearSlot, DeviceQuikLinear][] = [];
  await calibrate(model, options.windows, {
    samples: 0,
    signal: options.signal,
    visit: async ({ slots, calibration }) => {
      for (const slot of slots) {
        const quik = await quantize(slot, calibration.hessian);
        finished.push([slot, quik]);
        slot.replace(dequantized(model, quik));
      }
    },
    blockDone: () => {
      for (const [slot, quik] of finished.splice(0)) slot.replace(quik);
    },
  });
}

function denseLinear(slot: LinearSlot): DenseLinear {
  if (slot.linear instanceof DenseLinear) return slot.linear;
  throw new TypeError(`Cannot quantize ${slot.name}: it is quantized already`);
}

/** Inputs from which GPTQ, cubic in them, runs on the backend in float32 rather than on the host in float64. */
const LARGE_LAYER = 1024;

function roundsOnBackend(backend: Backend, { rows, cols }: Matrix): boolean {
  const sweep = { op: "gptq_sweep", rows, columns: cols, base: cols, groups: 1, bits: 4 } as const;
  return cols >= LARGE_LAYER && backend.name !== "reference" &&
    backend.supports({ op: "inverse_factor", size: cols }) && backend.supports(sweep);
}

async function quantizeSlot(
  model: Model,
  slot: LinearSlot,
  from: { absmax: Float32Array<ArrayBuffer>; hessian?: Matrix; options: QuantizeModelOptions },
): Promise<DeviceQuikLinear> {
  const { linear } = slot;
  if (!(linear instanceof DenseLinear)) {
    throw new TypeError(`Cannot quantize ${slot.name}: it is quantized already`);
  }
  const { absmax, hessian, options } = from;
  const { bits: baseBits = 4, downBits = 8, clip, rounding, percDamp, threshold } = options;
  const bits = DOWN_PROJECTION.test(slot.name) ? Math.max(baseBits, downBits) as 4 | 8 : baseBits;
  const hidden = model.config.hiddenSize;
  const count = widenedOutlierCount(options.outliers ?? Math.min(256, hidden >> 4), {
    inputs: linear.inputs,
    hidden,
  });
  const { weight, bias } = await linear.toHost();
  try {
    // Packed int4 rows need an even number of base columns.
    const outliers = selectOutlierColumns(absmax, {
      count,
      threshold,
      bits,
      baseMultiple: bits === 4 ? 2 : 1,
    });
    const quik = { absmax, hessian, bits, outliers, clip, rounding, percDamp };
    const weights = hessian !== undefined && roundsOnBackend(model.backend, weight)
      ? await deviceQuikWeights(model.backend, weight, quik)
      : quikWeights(weight, quik);
    return new DeviceQuikLinear(model.backend, weights, bias);
  } catch (error) {
    throw new RangeError(`Cannot quantize ${slot.name}: ${(error as Error).message}`, { cause: error });
  }
}

/** The quantized weights in float32, for calibrating what follows. */
function dequantized(model: Model, quik: DeviceQuikLinear): DenseLinear {
  const { rows, cols, data } = dequantizeQuik(quik.weights);
  const weight = uploadStored(model.backend, { data, type: "float32", rows, columns: cols });
  return new DenseLinear(weight, quik.bias && uploadBytes(model.backend, quik.bias));
}
