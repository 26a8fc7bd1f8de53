// Methods with a low-rank branch: SVDQuant beside 4-bit weights and activations, LoftQ and QLoRA beside a codebook.
import { type ByteFormat, nf4 } from "../formats/mod.ts";
import { type Decomposer, type LowRankSteps, runOnHost, runWithDecomposer } from "./decomposer.ts";
import { linearFromTerms } from "./linear_terms.ts";
import { loftqSteps } from "./loftq.ts";
import { lowRankBits, lowRankMatrix } from "./low_rank.ts";
import type { Matrix } from "./matrix.ts";
import type { LayerCalibration, LinearLayer, LinearMethod, QuantizedLinear } from "./method.ts";
import { blockBits, dequantizeBlocks, quantizeBlocks, type QuantizeBlocksOptions } from "./qlora.ts";
import type { ActivationScheme, Rounder } from "./recipe.ts";
import { requireFinite } from "./_require_finite.ts";
import { sampleRows } from "./_sample_rows.ts";
import { svdQuantSteps } from "./svdquant.ts";
import { scaleTransform, transformCalibration } from "./transform.ts";

/** Options of {@linkcode svdQuantMethod}. */
export interface SvdQuantMethodOptions {
  /** The method's name. */
  readonly name: string;
  /** Rounds the residual weight while smoothing and branch are searched. */
  readonly rounder: Rounder;
  /** Rounds the residual weight once they are found, such as GPTQ. Default: the same. */
  readonly finalRounder?: Rounder;
  /** How smoothed inputs are quantized. Default: not. */
  readonly activations?: ActivationScheme;
  /**
   * Rank of the branch for a weight. Default: 32, but at most 1/32 of the smaller side and at least 4, so that the branch of
   * a small layer does not outweigh its codes.
   */
  readonly rank?: (weight: Matrix) => number;
  /** Steps of the smoothing search. Default 20, the authors' 39 candidates. */
  readonly searchSteps?: number;
  /** Largest number of alternations. Default 5. */
  readonly iterations?: number;
  /** Sampled tokens that errors are measured on. Default 64. */
  readonly samples?: number;
  /** Where decompositions run, such as on a backend for large layers. Default: on the host. */
  readonly decompose?: Decomposer;
}

/**
 * SVDQuant (arXiv 2411.05007) as a method.
 *
 * @param options Rounding, activations, rank and effort.
 * @returns The method.
 */
export function svdQuantMethod(options: SvdQuantMethodOptions): LinearMethod {
  const { name, rounder, activations } = options;
  return {
    name,
    weightBits: rounder.bits,
    activationBits: activations?.bits ?? 16,
    quantize: (layer, calibration) => svdQuantLayer(options, layer, calibration),
  };
}

async function svdQuantLayer(
  options: SvdQuantMethodOptions,
  layer: LinearLayer,
  calibration: LayerCalibration,
): Promise<QuantizedLinear> {
  requireFinite(layer);
  const { weight, bias } = layer;
  const { rounder, finalRounder = rounder, activations, rank = defaultRank, samples = 64 } = options;
  const { searchSteps, iterations = 5 } = options;
  const none = new Uint32Array(0);
  const steps = svdQuantSteps(weight, {
    inputs: sampleRows(calibration.inputs, samples),
    absmax: calibration.absmax,
    quantizeWeight: (residual) => rounder.round(residual, { calibration, outliers: none }).weight,
    quantizeActivation: activations && ((x) => activations.prepare(calibration)(x, none)),
    rank: rank(weight),
    searchSteps,
    iterations,
  });
  const found = await run(steps, options.decompose);
  const smoothing = scaleTransform(found.smooth);
  const smoothed = transformCalibration(calibration, smoothing);
  const kept = lowRankMatrix(found.branch);
  const scaled = smoothing.applyW(weight);
  const residual = { ...scaled, data: scaled.data.map((value, i) => value - kept.data[i]) };
  const rounded = finalRounder.round(residual, { calibration: smoothed, outliers: none });
  const quantizer = activations?.prepare(smoothed);
  return linearFromTerms({
    terms: [
      { weight: rounded.weight, input: (x) => quantizer?.(smoothing.applyX(x), none) ?? smoothing.applyX(x) },
      { weight: kept, input: smoothing.applyX },
    ],
    ...(bias ? { bias } : {}),
    bitsPerWeight: (rounded.storedBits + lowRankBits(found.branch) + smoothing.storedBits) /
      weight.data.length,
  });
}

async function run<T>(steps: LowRankSteps<T>, decompose: Decomposer | undefined): Promise<T> {
  return await (decompose ? runWithDecomposer(steps, decompose) : runOnHost(steps));
}

function defaultRank({ rows, cols }: Matrix): number {
  return Math.max(4, Math.min(32, Math.floor(Math.min(rows, cols) / 32)));
}

/** Options of {@linkcode blockMethod}. */
export interface BlockMethodOptions extends QuantizeBlocksOptions {
  /** The method's name. */
  readonly name: string;
}

/**
 * QLoRA's frozen weight as a method: a codebook in blocks, scales quantized again. Its adapter starts at zero and is not
 * counted.
 *
 * @param options Format, block size and double quantization.
 * @returns The method.
 */
export function blockMethod(options: BlockMethodOptions): LinearMethod {
  return {
    name: options.name,
    weightBits: (options.format ?? nf4).bits,
    activationBits: 16,
    quantize: (layer) => Promise.resolve().then(() => blockLayer(options, layer)),
  };
}

function blockLayer(options: QuantizeBlocksOptions, layer: LinearLayer): QuantizedLinear {
  requireFinite(layer);
  const { weight, bias } = layer;
  const quantized = quantizeBlocks(weight, options);
  return linearFromTerms({
    terms: [{ weight: dequantizeBlocks(quantized) }],
    ...(bias ? { bias } : {}),
    bitsPerWeight: blockBits(quantized) / weight.data.length,
  });
}

/** Options of {@linkcode loftqMethod}. */
export interface LoftqMethodOptions {
  /** The method's name. */
  readonly name: string;
  /** Format of the codes. Default {@linkcode nf4}. */
  readonly format?: ByteFormat;
  /** Rank of the adapter for a weight. Default: 16, but at most 1/16 of the smaller side and at least 4. */
  readonly rank?: (weight: Matrix) => number;
  /** Alternations. Default 5. */
  readonly iterations?: number;
  /** Where decompositions run, such as on a backend for large layers. Default: on the host. */
  readonly decompose?: Decomposer;
}

/**
 * LoftQ (arXiv 2310.08659) as a method: the quantized weight with its adapter as initialized, in float16.
 *
 * @param options Format, rank and iterations.
 * @returns The method.
 */
export function loftqMethod(options: LoftqMethodOptions): LinearMethod {
  const { name, format = nf4, iterations = 5 } = options;
  const rank = options.rank ??
    (({ rows, cols }) => Math.max(4, Math.min(16, Math.floor(Math.min(rows, cols) / 16))));
  return {
    name,
    weightBits: format.bits,
    activationBits: 16,
    quantize: (layer) =>
      loftqLayer({ format, iterations, rank: rank(layer.weight), decompose: options.decompose }, layer),
  };
}

async function loftqLayer(
  { format, iterations, rank, decompose }: {
    format: ByteFormat;
    iterations: number;
    rank: number;
    decompose: Decomposer | undefined;
  },
  layer: LinearLayer,
): Promise<QuantizedLinear> {
  requireFinite(layer);
  const { weight, bias } = layer;
  const quantize = (w: Matrix): Matrix => dequantizeBlocks(quantizeBlocks(w, { format }));
  const steps = loftqSteps(weight, { quantize, rank, iterations });
  const { weight: quantized, branch } = await run(steps, decompose);
  const adapter = lowRankMatrix(branch);
  const total = { ...quantized, data: quantized.data.map((value, i) => value + adapter.data[i]) };
  const codeBits = blockBits(quantizeBlocks(weight, { format }));
  return linearFromTerms({
    terms: [{ weight: total }],
    ...(bias ? { bias } : {}),
    bitsPerWeight: (codeBits + lowRankBits(branch)) / weight.data.length,
  });
}
