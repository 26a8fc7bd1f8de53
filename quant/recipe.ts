// How methods compose: transform, split, clip, round, quantize activations. Each step is a value; a method is a list of them.
import { requireFinite } from "./_require_finite.ts";
import { linearFromTerms } from "./linear_terms.ts";
import type { Matrix } from "./matrix.ts";
import type { ForwardTerm, LayerCalibration, LinearLayer, LinearMethod, QuantizedLinear } from "./method.ts";
import { composeTransforms, transformCalibration, type TransformFinder } from "./transform.ts";

/** What a {@linkcode Splitter} keeps out of rounding. */
export interface Split {
  /** Columns that keep 16 bits in weights and activations, ascending. */
  readonly outliers?: Uint32Array;
  /** Weights that keep 16 bits and multiply unquantized inputs, `[outputs, inputs]`: a low-rank product. */
  readonly kept?: Matrix;
  /** 1 where a weight of `rest` was taken out and set to 0, to be restored exactly, `[outputs, inputs]`. */
  readonly sparse?: Uint8Array;
  /** The weights left to round, `[outputs, inputs]`. */
  readonly rest: Matrix;
  /** Bits stored for what is kept. */
  readonly storedBits: number;
}

/** Takes out of a weight what rounding would hurt most. */
export interface Splitter {
  /** Such as `outlier-columns` or `low-rank`. */
  readonly name: string;
  /** Must not change its arguments. */
  split(weight: Matrix, calibration: LayerCalibration): Split;
}

/** What a {@linkcode Rounder} may use beside the weights. */
export interface RoundContext {
  /** Of the inputs behind all transforms. */
  readonly calibration: LayerCalibration;
  /** Columns not to round, ascending; the rounder may change their weights. */
  readonly outliers: Uint32Array;
  /** 1 where an error does not matter because the weight is restored afterwards, `[outputs, inputs]`. */
  readonly sparse?: Uint8Array;
}

/** Weights on a grid. */
export interface RoundedWeight {
  /** Dequantized, `[outputs, inputs]`; outlier columns hold their 16-bit weights. */
  readonly weight: Matrix;
  /** Bits stored for codes, scales, zero points, tables and indices; outlier columns not counted. */
  readonly storedBits: number;
}

/** Fits a grid to weights and chooses their codes. */
export interface Rounder {
  /** Such as `gptq int4`. */
  readonly name: string;
  /** Bits of a code. */
  readonly bits: number;
  /** Must not change its arguments. */
  round(weight: Matrix, context: RoundContext): RoundedWeight;
}

/** Limits weights before grids are fitted to them. */
export interface WeightClipper {
  /** Such as `awq-clip`. */
  readonly name: string;
  /** The clipped weights of a layer. Must not change its arguments. */
  clip(layer: LinearLayer, calibration: LayerCalibration): Matrix;
}

/** Quantizes and dequantizes activations `[tokens, inputs]`, leaving outlier columns as they are. */
export type ActivationQuantizer = (input: Matrix, outliers: Uint32Array) => Matrix;

/** A way to quantize activations. */
export interface ActivationScheme {
  /** Such as `int8 per token`. */
  readonly name: string;
  /** Bits of a code. */
  readonly bits: number;
  /** Fixes what is static, from the calibration of the inputs behind all transforms. */
  prepare(calibration: LayerCalibration): ActivationQuantizer;
}

/** The parts of a method, in the order in which they run. */
export interface Recipe {
  /** The method's name. */
  readonly name: string;
  /** Equivalent transforms, each chosen behind the ones before. Default none. */
  readonly transforms?: readonly TransformFinder[];
  /** What stays in 16 bits. Default nothing. */
  readonly split?: Splitter;
  /** How the rest is limited before grids are fitted. Default not. */
  readonly clip?: WeightClipper;
  /** How the rest of the weights is rounded. */
  readonly rounder: Rounder;
  /** How activations are quantized. Default: not. */
  readonly activations?: ActivationScheme;
}

/**
 * A method from its parts.
 *
 * @param recipe The parts.
 * @returns The method. It refuses layers of which a weight is not finite.
 *
 * @example Usage
 * ```ts
 * import { calibrate, composeMethod, createMatrix, integerGrid, nearestRounder } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const method = composeMethod({ name: "rtn", rounder: nearestRounder({ grid: integerGrid({ bits: 4 }) }) });
 * const weight = createMatrix(1, 2, Float32Array.of(7, 2.2));
 * const input = createMatrix(1, 2, Float32Array.of(1, 1));
 * const layer = await method.quantize({ name: "layer", weight }, calibrate(input));
 * assertEquals(layer.forward(input).data, Float32Array.of(9));
 * ```
 */
export function composeMethod(recipe: Recipe): LinearMethod {
  const { name, rounder, activations } = recipe;
  return {
    name,
    weightBits: rounder.bits,
    activationBits: activations?.bits ?? 16,
    quantize: (layer, calibration) => Promise.resolve().then(() => applyRecipe(recipe, layer, calibration)),
  };
}

function applyRecipe(recipe: Recipe, layer: LinearLayer, calibration: LayerCalibration): QuantizedLinear {
  requireFinite(layer);
  const found = [];
  let weight = layer.weight, current = calibration;
  for (const finder of recipe.transforms ?? []) {
    const transform = finder.find({ ...layer, weight }, current);
    weight = transform.applyW(weight);
    current = transformCalibration(current, transform);
    found.push(transform);
  }
  const transform = composeTransforms(found);
  const split = recipe.split?.split(weight, current) ?? { rest: weight, storedBits: 0 };
  const outliers = split.outliers ?? new Uint32Array(0);
  const rest = recipe.clip?.clip({ ...layer, weight: split.rest }, current) ?? split.rest;
  const rounded = recipe.rounder.round(rest, {
    calibration: current,
    outliers,
    ...(split.sparse ? { sparse: split.sparse } : {}),
  });
  const kept = split.sparse ? restored(split, weight, rounded.weight) : split.kept;
  const quantizer = recipe.activations?.prepare(current);

  const transformed = found.length > 0 ? transform.applyX : undefined;
  const terms: ForwardTerm[] = [];
  if (quantizer) {
    terms.push({ weight: rounded.weight, input: (x) => quantizer(transformed?.(x) ?? x, outliers) });
    if (kept) terms.push({ weight: kept, input: transformed });
  } else {
    terms.push({ weight: kept ? sum(rounded.weight, kept) : rounded.weight, input: transformed });
  }
  const bits = transform.storedBits + split.storedBits + rounded.storedBits;
  const bias = shiftedBias(layer, transform.offset?.(layer.weight));
  return linearFromTerms({
    terms,
    ...(bias ? { bias } : {}),
    bitsPerWeight: bits / layer.weight.data.length,
  });
}

/** What is kept, with the entries that bring the rounded weights back where they were taken out. */
function restored({ kept, sparse }: Split, weight: Matrix, rounded: Matrix): Matrix {
  const data = weight.data.map((w, i) => sparse![i] ? w - rounded.data[i] : kept?.data[i] ?? 0);
  return { ...weight, data };
}

function sum(a: Matrix, b: Matrix): Matrix {
  return { ...a, data: a.data.map((value, i) => value + b.data[i]) };
}

function shiftedBias(
  { bias }: LinearLayer,
  offset: Float32Array<ArrayBuffer> | undefined,
): Float32Array<ArrayBuffer> | undefined {
  if (!offset || !bias) return bias ?? offset;
  return offset.map((value, r) => value + bias[r]);
}

/**
 * A method that treats layers differently, such as 8 bits for down projections.
 *
 * @param name The method's name.
 * @param choose The method for a layer.
 * @returns The method.
 */
export function chooseMethod(
  name: string,
  choose: (layer: LinearLayer, calibration: LayerCalibration) => LinearMethod,
): LinearMethod {
  return { name, quantize: (layer, calibration) => choose(layer, calibration).quantize(layer, calibration) };
}
