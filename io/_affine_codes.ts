// Unsigned codes with integer zero points, as integer layouts store them, as a quantized matrix.
import { int2, int3, int4, int8, type NumberFormat, uint2, uint3, uint4, uint8 } from "../formats/mod.ts";
import { gridOf, perGroup, type Quantized } from "../quant/mod.ts";

const UNSIGNED: Readonly<Record<number, NumberFormat>> = { 2: uint2, 3: uint3, 4: uint4, 8: uint8 };
const SIGNED: Readonly<Record<number, NumberFormat>> = { 2: int2, 3: int3, 4: int4, 8: int8 };

/** `(code - zero) * scale`, by groups of columns. */
export interface AffineCodes {
  readonly rows: number;
  readonly cols: number;
  readonly bits: number;
  /** `[rows, cols]`, unsigned. */
  readonly codes: Uint8Array<ArrayBuffer>;
  readonly groupSize: number;
  /** `[rows, groups]`. */
  readonly scale: Float32Array<ArrayBuffer>;
  /** `[rows, groups]`, in codes. */
  readonly zeros: Float32Array<ArrayBuffer>;
  /** Group of each column, where groups are not runs of neighbors. */
  readonly groupOf?: Int32Array<ArrayBuffer>;
  readonly scaleFormat?: NumberFormat;
}

/**
 * The quantized matrix. Zero points at the middle of the range become a signed format without zero points. Columns whose
 * groups are scattered (GPTQ's activation order) get a scale each.
 */
export function quantizedOf(affine: AffineCodes): Quantized {
  const { rows, cols, bits, codes, scaleFormat } = affine;
  if (!Object.hasOwn(UNSIGNED, bits)) {
    throw new TypeError(`Cannot read codes of ${bits} bits: only 2, 3, 4 and 8`);
  }
  const { groupSize, scale, zeros } = affine.groupOf ? scattered(affine, affine.groupOf) : affine;
  const grid = gridOf(perGroup(groupSize), { rows, cols });
  const middle = 2 ** (bits - 1);
  const range = (format: NumberFormat) => ({ min: format.min, max: format.max });
  if (zeros.every((zero) => zero === middle)) {
    const format = SIGNED[bits];
    const signed = codes.map((code) => code ^ middle);
    return { codes: signed, qparams: { format, grid, scale, levels: range(format), scaleFormat } };
  }
  const format = UNSIGNED[bits];
  return { codes, qparams: { format, grid, scale, zeroPoint: zeros, levels: range(format), scaleFormat } };
}

/** Scale and zero point of each column, in groups of one. Groups that are runs of neighbors after all stay as they are. */
function scattered(
  affine: AffineCodes,
  groupOf: Int32Array<ArrayBuffer>,
): Pick<AffineCodes, "groupSize" | "scale" | "zeros"> {
  const { rows, cols, groupSize, scale, zeros } = affine;
  const groups = scale.length / rows;
  const bad = groupOf.find((group) => group < 0 || group >= groups);
  if (bad !== undefined) {
    throw new RangeError(`Cannot read group indices: ${bad} is not one of ${groups} groups`);
  }
  if (groupOf.every((group, column) => group === Math.floor(column / groupSize))) return affine;
  const spread = (values: Float32Array<ArrayBuffer>) => {
    const perColumn = new Float32Array(rows * cols);
    for (let row = 0; row < rows; row++) {
      for (let col = 0; col < cols; col++) perColumn[row * cols + col] = values[row * groups + groupOf[col]];
    }
    return perColumn;
  };
  return { groupSize: 1, scale: spread(scale), zeros: spread(zeros) };
}
