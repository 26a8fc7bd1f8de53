// One layer of a model to QUIK: how many bits and outliers it gets, what GPTQ is to approximate, and where it runs.
import { type DenseLinear, DeviceQuikLinear, deviceQuikWeights } from "../ops/mod.ts";
import type { Backend } from "../kernels/mod.ts";
import {
  absorbActivationNoise,
  activationNoise,
  type LayerCalibration,
  type Matrix,
  quikWeights,
  selectOutlierColumns,
  widenedOutlierCount,
} from "../quant/mod.ts";
import type { QuantizeModelOptions } from "./quantize_model.ts";

/** What is known of a layer when its turn comes. */
export interface LayerContext {
  /** Full module name. */
  readonly name: string;
  /** Width of the residual stream. */
  readonly hiddenSize: number;
  /** Largest inputs in the float model, `[inputs]`. */
  readonly absmax: Float32Array<ArrayBuffer>;
  /** Statistics of the inputs behind quantized predecessors; absent for plain rounding. */
  readonly calibration?: LayerCalibration;
}

/** Layers that read the product of the feed-forward gate: in 8 bits, with widened outliers. OPT's `fc2` is not among
 * them, as in the paper. */
const DOWN_PROJECTION = /\.(down_proj|dense_4h_to_h)$/;

/** Inputs from which GPTQ, cubic in them, runs on the backend in float32 rather than on the host in float64. */
const LARGE_LAYER = 1024;

/**
 * Quantizes one layer.
 *
 * @param linear The dense layer. Not changed.
 * @param context What is known of it.
 * @param options The settings of the model.
 * @returns The layer on the same backend.
 * @throws {RangeError} If it cannot be quantized; the message names it.
 */
export async function quantizeLayer(
  linear: DenseLinear,
  context: LayerContext,
  options: QuantizeModelOptions,
): Promise<DeviceQuikLinear> {
  const { name, absmax, calibration } = context;
  const { clip, rounding, actOrder = true, percDamp } = options;
  const { backend } = linear.weight;
  const { weight, bias } = await linear.toHost();
  try {
    const bits = layerBits(name, options);
    const outliers = outlierColumns(linear, bits, context, options);
    const target = calibration
      ? roundingTarget(weight, calibration, { bits, outliers, options })
      : { weight };
    const { hessian } = target;
    const quik = { absmax, hessian, bits, outliers, clip, rounding, actOrder, percDamp };
    const weights = hessian !== undefined && roundsOnBackend(backend, weight)
      ? await deviceQuikWeights(backend, target.weight, quik)
      : quikWeights(target.weight, quik);
    return new DeviceQuikLinear(backend, weights, bias);
  } catch (error) {
    throw new RangeError(`Cannot quantize ${name}: ${(error as Error).message}`, { cause: error });
  }
}

function layerBits(name: string, { bits = 4, downBits = 8 }: QuantizeModelOptions): 4 | 8 {
  return DOWN_PROJECTION.test(name) ? Math.max(bits, downBits) as 4 | 8 : bits;
}

function outlierColumns(
  { inputs }: DenseLinear,
  bits: 4 | 8,
  { absmax, hiddenSize }: LayerContext,
  { outliers = Math.min(256, hiddenSize >> 4), threshold }: QuantizeModelOptions,
): Uint32Array<ArrayBuffer> {
  const count = widenedOutlierCount(outliers, { inputs, hidden: hiddenSize });
  // Packed int4 rows need an even number of base columns.
  return selectOutlierColumns(absmax, { count, threshold, bits, baseMultiple: bits === 4 ? 2 : 1 });
}

/** What is to be approximated, and for GPTQ under which Hessian. */
interface RoundingTarget {
  readonly weight: Matrix;
  readonly hessian?: Matrix;
}

function roundingTarget(
  weight: Matrix,
  { hessian, inputs }: LayerCalibration,
  layer: { bits: 4 | 8; outliers: Uint32Array<ArrayBuffer>; options: QuantizeModelOptions },
): RoundingTarget {
  // The error of 8-bit codes is 289 times smaller in variance: not worth the solving.
  if (layer.bits === 8 || !(layer.options.noiseAware ?? true)) return { weight, hessian };
  const noise = activationNoise(inputs, layer);
  return absorbActivationNoise(weight, { hessian, noise, outliers: layer.outliers });
}

function roundsOnBackend(backend: Backend, { rows, cols }: Matrix): boolean {
  const sweep = { op: "gptq_sweep", rows, columns: cols, base: cols, groups: 1, bits: 4 } as const;
  return cols >= LARGE_LAYER && backend.name !== "reference" &&
    backend.supports({ op: "inverse_factor", size: cols }) && backend.supports(sweep);
}
