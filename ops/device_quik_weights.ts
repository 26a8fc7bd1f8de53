// The weights of a QUIK layer with GPTQ run on a backend: for layers that are too large for the host.
import { int4, int8 } from "../formats/mod.ts";
import type { Backend } from "../kernels/mod.ts";
import {
  createMatrix,
  type Matrix,
  quikOrder,
  type QuikWeights,
  quikWeights,
  type QuikWeightsOptions,
} from "../quant/mod.ts";
import { deviceGptq } from "./device_gptq.ts";

/**
 * What `quikWeights` does by GPTQ, with the Hessian factored and the columns swept on a backend in float32. Scales are
 * fitted on the host.
 *
 * @param backend Where GPTQ runs; it must support `inverse_factor` and `gptq_sweep`.
 * @param weight `[outputs, inputs]`. Not changed.
 * @param options Calibration, bits, outliers, clipping. `rounding` is GPTQ, and nothing is pruned.
 * @returns Codes, scales, row sums and outlier columns.
 * @throws {RangeError} If shapes do not fit, outliers are not ascending, or values are not finite.
 * @throws {TypeError} If there is no Hessian, pruning or another rounding is asked for, or the backend lacks the ops.
 */
export async function deviceQuikWeights(
  backend: Backend,
  weight: Matrix,
  options: QuikWeightsOptions,
): Promise<QuikWeights> {
  const { hessian, outliers = new Uint32Array(0), percDamp, sparsity, rounding = "gptq" } = options;
  if (hessian === undefined) throw new TypeError("Cannot run GPTQ without a Hessian");
  if (sparsity || rounding !== "gptq") {
    throw new TypeError("Cannot prune or round to nearest on a backend: use quikWeights");
  }
  const plain = quikWeights(weight, { ...options, rounding: "nearest" });
  const result = await deviceGptq(backend, weight, {
    hessian,
    format: plain.bits === 4 ? int4 : int8,
    scales: plain.scales,
    outliers,
    order: quikOrder(options),
    percDamp,
  });
  const base = plain.baseIndices;
  const codes = new Int8Array(weight.rows * base.length);
  const reduced = new Float32Array(weight.rows);
  const outlierWeight = createMatrix(weight.rows, outliers.length);
  const shift = 32 - plain.bits;
  for (let row = 0; row < weight.rows; row++) {
    const start = row * weight.cols;
    let sum = 0;
    for (let b = 0; b < base.length; b++) {
      const code = result.codes[start + base[b]] << shift >> shift;
      codes[row * base.length + b] = code;
      sum += code;
    }
    reduced[row] = plain.scales[row] * sum;
    for (let f = 0; f < outliers.length; f++) {
      outlierWeight.data[row * outliers.length + f] = result.weight.data[start + outliers[f]];
    }
  }
  return { ...plain, codes, reduced, outlierWeight, loss: Float64Array.from(result.loss) };
}
