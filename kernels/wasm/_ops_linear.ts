// How the products run: which panels are packed first, and what a unit of work is.
import type {
  CodeBits,
  CodebookLinearSpec,
  DenseLinearSpec,
  FloatType,
  GramSpec,
  IntegerMatmulSpec,
  QuikLinearSpec,
  ScaleType,
} from "../specs.ts";
import type { TableLinearSpec } from "../quantization_specs.ts";
import { packedRowBytes } from "../specs.ts";
import type { Context, Region } from "./_context.ts";
import { widenedInput } from "./_input.ts";
import { withResult } from "./_result.ts";

/** Numbers of the storage types in `assembly/simd.ts`. */
export const FLOAT_TYPES: Readonly<Record<FloatType, number>> = { float32: 0, float16: 1, bfloat16: 2 };
const CODEBOOK = 3;
const SCALE_TYPES: Readonly<Record<ScaleType, number>> = {
  float32: 0,
  float16: 1,
  float8E4M3: 2,
  float8E8M0: 3,
};
/** Number for weights whose groups have tables and no scales. */
const NO_SCALES = 4;
/** Rows and columns of the tile of `assembly/micro.ts`, and the bytes of one step of a row panel. */
export const TILE_ROWS = 3;
export const TILE_COLUMNS = 4;
const ROW_STEP = 48;

/** Runs a {@linkcode DenseLinearSpec}. */
export function denseLinear(
  context: Context,
  spec: DenseLinearSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const [, weight, bias = 0] = inputs.map((region) => region.address);
  const x = widenedInput(context, spec, inputs[0]);
  const type = FLOAT_TYPES[spec.weightType];
  withResult(context, spec, outputs[0], (y) => floatProduct(context, spec, { x, weight, type, bias, y }));
}

/** Runs a {@linkcode CodebookLinearSpec}: the weight is decoded as it is packed. */
export function codebookLinear(
  context: Context,
  spec: CodebookLinearSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const [x, ...buffers] = inputs.map((region) => region.address);
  const weight = codebookWeight(context, spec, buffers);
  const bias = spec.bias ? buffers[spec.zeroPoint ? 4 : 3] : 0;
  floatProduct(context, spec, { x, weight, type: CODEBOOK, bias, y: outputs[0].address });
}

/** Runs a {@linkcode TableLinearSpec}. */
export function tableLinear(
  context: Context,
  spec: TableLinearSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const [x, codes, tables, bias = 0] = inputs.map((region) => region.address);
  const weight = codebookWeight(context, { ...spec, zeroPoint: false }, [codes, tables]);
  floatProduct(context, spec, { x, weight, type: CODEBOOK, bias, y: outputs[0].address });
}

/** Describes a weight of codes to the kernels (`assembly/codebook.ts`). Returns the address of the description. */
export function codebookWeight(
  context: Context,
  spec: {
    readonly inner: number;
    readonly bits: number;
    readonly groupSize: number;
    /** Without it every group has a table of its own instead of a scale. */
    readonly scaleType?: ScaleType;
    readonly zeroPoint: boolean;
  },
  [codes, table, scales = 0, zeros = 0]: number[],
): number {
  const { inner, bits, scaleType } = spec;
  const groupSize = Math.min(spec.groupSize, inner);
  const weight = context.temporary(64);
  context.writeIntegers(weight, [
    codes,
    table,
    scales,
    spec.zeroPoint ? zeros : 0,
    bits,
    groupSize,
    Math.ceil(inner / groupSize),
    packedRowBytes(inner, bits),
    scaleType === undefined ? NO_SCALES : SCALE_TYPES[scaleType],
    scaleType === undefined ? 2 ** bits * 4 : 0,
  ]);
  return weight;
}

/** A float product `y = x * weight^T (+ bias)`, everything by address; `type` is the weight's storage type. */
export interface FloatProduct {
  readonly x: number;
  readonly weight: number;
  readonly type: number;
  /** 0 for none. */
  readonly bias: number;
  readonly y: number;
}

/** Runs a float product. */
export function floatProduct(
  context: Context,
  { rows, columns, inner }: { readonly rows: number; readonly columns: number; readonly inner: number },
  { x, weight, type, bias, y }: FloatProduct,
): void {
  const units = Math.ceil(columns / TILE_COLUMNS);
  if (rows === 1) {
    const work = { units, cost: 16 * inner, scratch: inner * 4 + 16 };
    context.run("dense_row", work, [x, weight, bias, y, columns, inner, type]);
    return;
  }
  const panels = packRows(context, x, rows, inner, inner * 4, FLOAT_TYPES.float32);
  const work = { units, cost: 8 * inner * rows, scratch: context.exports.dense_scratch() };
  context.run("dense_linear", work, [panels, weight, bias, y, rows, columns, inner, type]);
}

/** Steps of a panel of `count` floats, an even number (`assembly/micro.ts`). */
function floatSteps(count: number): number {
  return Math.ceil(count / 8) * 2;
}

/** Packs a float matrix into row panels. Returns their address. */
function packRows(
  context: Context,
  source: number,
  rows: number,
  inner: number,
  stride: number,
  type: number,
): number {
  const units = Math.ceil(rows / TILE_ROWS);
  const panels = context.temporary(units * floatSteps(inner) * ROW_STEP);
  context.run("pack_rows", { units, cost: 12 * inner }, [source, stride, rows, inner, type, panels]);
  return panels;
}

/** Runs an {@linkcode IntegerMatmulSpec}. */
export function integerMatmul(
  context: Context,
  spec: IntegerMatmulSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const { rows, columns, inner } = spec;
  const mode = weightMode(context, spec.weightBits);
  const codes = packCodes(context, spec, inputs[0].address, mode);
  const scratch = context.exports.quik_scratch(inner, 0, mode);
  context.run(
    "integer_matmul",
    { units: Math.ceil(columns / TILE_COLUMNS), cost: 2 * inner * rows, scratch },
    [
      ...codes,
      inputs[1].address,
      outputs[0].address,
      rows,
      columns,
      inner,
      mode,
    ],
  );
}

/** Runs a {@linkcode QuikLinearSpec}. */
export function quikLinear(
  context: Context,
  spec: QuikLinearSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const { rows, columns, inner, outliers, activationBits } = spec;
  const [codes, qparams, outlierValues, weight, scales, reduced, outlierWeight, bias = 0] = inputs.map(
    (region) => region.address,
  );
  const mode = weightMode(context, spec.weightBits);
  const [panels, rowSums] = packCodes(context, spec, codes, mode);
  const stride = Math.ceil(outliers / 8) * 16;
  const outlierPanels = packRows(context, outlierValues, rows, outliers, stride, FLOAT_TYPES.float16);
  const scratch = context.exports.quik_scratch(inner, outliers, mode);
  const cost = 2 * (inner + 4 * outliers) * rows;
  const work = { units: Math.ceil(columns / TILE_COLUMNS), cost, scratch };
  withResult(context, spec, outputs[0], (y) =>
    context.run("quik_linear", work, [
      panels,
      rowSums,
      qparams,
      outlierPanels,
      weight,
      scales,
      reduced,
      outlierWeight,
      bias,
      y,
      rows,
      columns,
      inner,
      outliers,
      2 ** (activationBits - 1),
      mode,
    ]));
}

/** How weight bytes are laid out (`assembly/quik.ts`). */
export function weightMode(context: Context, bits: CodeBits): number {
  return bits === 4 ? 0 : context.dotTakesBytes ? 1 : 2;
}

/** Row panels of signed bytes. */
export interface CodePanels {
  readonly panels: number;
  readonly rowSums: number;
  readonly width: number;
  readonly units: number;
}

/** Rows of a panel: a single token is not padded to a tile, as its kernel reads the weight where it lies. */
export function panelWidth(rows: number): number {
  return rows === 1 ? 1 : TILE_ROWS;
}

/** Takes room for row panels of signed bytes and the sum of each row. */
export function codePanels(context: Context, rows: number, inner: number): CodePanels {
  const steps = Math.ceil(inner / 32) * 2;
  const width = panelWidth(rows);
  const units = Math.ceil(rows / width);
  const panels = context.temporary(units * width * steps * 16);
  return { panels, rowSums: context.temporary(units * width * 4), width, units };
}

/** Packs activation codes as signed bytes. Returns the addresses of the panels and of the row sums. */
export function packCodes(
  context: Context,
  spec: { readonly rows: number; readonly inner: number; readonly activationBits: CodeBits },
  codes: number,
  mode: number,
): [number, number] {
  const { rows, inner, activationBits } = spec;
  const { panels, rowSums, width, units } = codePanels(context, rows, inner);
  const args = [codes, rows, inner, activationBits, mode, width, panels, rowSums];
  context.run("pack_codes", { units, cost: 12 * inner }, args);
  return [panels, rowSums];
}

/** Runs a {@linkcode GramSpec}: the upper triangle, then its mirror image. */
export function gram(context: Context, spec: GramSpec, inputs: Region[], outputs: Region[]): void {
  const { rows, columns } = spec;
  const x = inputs[0].address;
  const sums = outputs[0].address;
  const rowTiles = Math.ceil(columns / TILE_ROWS);
  const steps = floatSteps(rows);
  const panels = context.temporary(rowTiles * steps * ROW_STEP);
  context.run("pack_transposed_rows", { units: rowTiles, cost: 12 * rows }, [x, rows, columns, panels]);
  const work = {
    units: Math.ceil(columns / TILE_COLUMNS),
    cost: 4 * rows * columns,
    scratch: 64 + steps * 64,
  };
  context.run("gram_upper", work, [x, panels, sums, rows, columns]);
  context.run("mirror_upper", { units: columns, cost: columns }, [sums, columns]);
}
