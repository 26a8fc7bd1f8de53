// Number formats and block formats as the rounding step and the activation step of a method: float8 per tensor, token,
// channel or block, microscaling formats, codebooks.
import type { BlockFormat } from "../formats/mod.ts";
import { restoreColumns, withoutColumns } from "./_matrix_ops.ts";
import { gridOf, perChannel, perTensor, perToken } from "./granularity.ts";
import type { Mapping } from "./mapping.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { chooseQparams, type Qparams, type QparamsOptions } from "./qparams.ts";
import { fakeQuantize } from "./quantize.ts";
import type { ActivationScheme, Rounder } from "./recipe.ts";

/**
 * Power-of-two scales that saturate nothing: `2^ceil(log2(max |x| / qmax))`, as DeepSeek's float8 kernels offer them.
 */
export const powerOfTwoMapping: Mapping = {
  name: "absmax-power-of-two",
  scale(range, levels) {
    const exact = (Math.max(-range.min, range.max) || 1) / levels.max;
    // The logarithm may be off by a rounding error next to a power of two.
    const scale = 2 ** Math.ceil(Math.log2(exact));
    return scale < exact ? 2 * scale : scale / 2 >= exact ? scale / 2 : scale;
  },
};

/** How {@linkcode formatRounder} rounds: the options of `chooseQparams`. */
export interface FormatRounderOptions extends QparamsOptions {
  /** Bits in which a scale is stored. Default: those of `scaleFormat`, else 32. */
  readonly scaleBits?: number;
}

/**
 * Rounds each weight to the nearest value of a format, with scales of any granularity, two-dimensional blocks included.
 *
 * @param options Format, granularity, mapping, clip rule, scale format.
 * @returns The rounder. Outlier columns are left as they are and do not widen any range.
 *
 * @example Float8 in blocks of 128 by 128
 * ```ts
 * import { composeMethod, formatActivations, formatRounder, perBlock, perGroup } from "@quik/quant/quant";
 * import { float8E4M3 } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * const method = composeMethod({
 *   name: "fp8-block",
 *   rounder: formatRounder({ format: float8E4M3, granularity: perBlock(128, 128) }),
 *   activations: formatActivations({ format: float8E4M3, granularity: perGroup(128) }),
 * });
 * assertEquals([method.weightBits, method.activationBits], [8, 8]);
 * ```
 */
export function formatRounder(options: FormatRounderOptions): Rounder {
  const { format, granularity = perChannel(), scaleFormat, scaleBits = scaleFormat?.bits ?? 32 } = options;
  return {
    name: `nearest ${format.name} per ${granularity.name}`,
    bits: format.bits,
    round(weight, { outliers }) {
      const qparams = chooseQparams(withoutColumns(weight, outliers), options);
      const { gridRows, gridCols } = qparams.grid;
      const zeroBits = qparams.zeroPoint ? format.bits : 0;
      const offsetBits = qparams.offset ? scaleBits : 0;
      return {
        weight: restoreColumns(fakeQuantize(weight, qparams), weight, outliers),
        storedBits: weight.rows * (weight.cols - outliers.length) * format.bits +
          gridRows * gridCols * (scaleBits + zeroBits + offsetBits),
      };
    },
  };
}

/** How {@linkcode formatActivations} quantizes. */
export interface FormatActivationsOptions extends QparamsOptions {
  /** One scale for the whole input, from the calibrated maxima; larger values saturate. Default false: dynamic. */
  readonly static?: boolean;
}

/**
 * Quantizes activations to a format, with dynamic scales of any granularity or one static scale.
 *
 * @param options Format, granularity (per token by default), mapping, scale format.
 * @returns The scheme. Outlier columns are left as they are and do not widen any range.
 */
export function formatActivations(options: FormatActivationsOptions): ActivationScheme {
  const { format, granularity = perToken() } = options;
  const dynamic = (input: Matrix): Qparams => chooseQparams(input, { ...options, granularity });
  return {
    name: options.static ? `${format.name} static` : `${format.name} per ${granularity.name}`,
    bits: format.bits,
    prepare({ absmax }) {
      const choose = options.static ? staticQparams(absmax, options) : dynamic;
      return (input, outliers) =>
        restoreColumns(
          fakeQuantize(input, choose(withoutColumns(input, outliers), outliers)),
          input,
          outliers,
        );
    },
  };
}

/** Parameters of one scale that covers the calibrated maxima of all columns but the outliers. */
function staticQparams(
  absmax: Float32Array,
  options: QparamsOptions,
): (input: Matrix, outliers: Uint32Array) => Qparams {
  return (input, outliers) => {
    const calibrated = withoutColumns(createMatrix(1, absmax.length, Float32Array.from(absmax)), outliers);
    const joined = new Float32Array(2 * absmax.length);
    calibrated.data.forEach((value, i) => [joined[2 * i], joined[2 * i + 1]] = [value, -value]);
    const both = createMatrix(2, absmax.length, joined);
    const qparams = chooseQparams(both, { ...options, granularity: perTensor() });
    return { ...qparams, grid: gridOf(perTensor(), input) };
  };
}

/**
 * Rounds weights to a block format, row by row; rows are padded with zeros to whole blocks.
 *
 * @param format Such as `mxfp4` or `nvfp4`.
 * @returns The rounder. Outlier columns are left as they are and do not widen any range.
 */
export function blockFormatRounder(format: BlockFormat): Rounder {
  return {
    name: `nearest ${format.name}`,
    bits: blockBits(format),
    round(weight, { outliers }) {
      const blocks = weight.rows * Math.ceil(weight.cols / format.blockSize);
      return {
        weight: restoreColumns(throughBlocks(withoutColumns(weight, outliers), format), weight, outliers),
        storedBits: 8 * (blocks * format.bytesPerBlock + (format.headerBytes ?? 0)),
      };
    },
  };
}

/**
 * Quantizes activations to a block format along each token. A scale of the whole tensor, where the format has one, is that
 * of all tokens computed together.
 *
 * @param format Such as `mxfp8E4M3` or `nvfp4`.
 * @returns The scheme. Outlier columns are left as they are and do not widen any range.
 */
export function blockFormatActivations(format: BlockFormat): ActivationScheme {
  return {
    name: `${format.name} per token`,
    bits: blockBits(format),
    prepare: () => (input, outliers) =>
      restoreColumns(throughBlocks(withoutColumns(input, outliers), format), input, outliers),
  };
}

/** Bits of a code: the whole bits of a block's share per value. */
function blockBits({ bytesPerBlock, blockSize }: BlockFormat): number {
  return Math.floor(8 * bytesPerBlock / blockSize);
}

function throughBlocks(matrix: Matrix, format: BlockFormat): Matrix {
  const { rows, cols } = matrix;
  const width = Math.ceil(cols / format.blockSize) * format.blockSize;
  const padded = width === cols ? matrix : resizeRows(matrix, width);
  const values = format.dequantize(format.quantize(padded.data), padded.data.length);
  return resizeRows(createMatrix(rows, width, values), cols);
}

/** Rows cut or padded with zeros to a width. */
function resizeRows({ data, rows, cols }: Matrix, width: number): Matrix {
  if (width === cols) return createMatrix(rows, cols, data);
  const result = createMatrix(rows, width);
  for (let row = 0; row < rows; row++) {
    result.data.set(data.subarray(row * cols, row * cols + Math.min(cols, width)), row * width);
  }
  return result;
}
