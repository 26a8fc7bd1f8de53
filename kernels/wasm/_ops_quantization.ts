// How the ops around quantized products run: group-wise scales, rotations and branches.
import type {
  DequantizeGroupsSpec,
  GroupedLinearSpec,
  HadamardSpec,
  LowRankAddSpec,
  QuantizeGroupsSpec,
  SparseAddSpec,
} from "../quantization_specs.ts";
import { checkIndices, type Context, type Region } from "./_context.ts";
import { withResult } from "./_result.ts";
import {
  codebookWeight,
  FLOAT_TYPES,
  floatProduct,
  packCodes,
  panelWidth,
  TILE_COLUMNS,
  weightMode,
} from "./_ops_linear.ts";

const addresses = (regions: Region[]): number[] => regions.map((region) => region.address);

/** Runs a {@linkcode HadamardSpec}. */
export function hadamard(context: Context, spec: HadamardSpec, inputs: Region[], outputs: Region[]): void {
  const { rows, columns, blockSize, order, signs, inverse } = spec;
  const [x, ...rest] = addresses(inputs);
  const matrix = order > 1 ? rest.shift()! : 0;
  const work = {
    units: rows * columns / blockSize,
    cost: blockSize * (Math.log2(blockSize) + order),
    scratch: blockSize * 4,
  };
  context.run("hadamard", work, [
    x,
    matrix,
    signs ? rest[0] : 0,
    outputs[0].address,
    columns,
    blockSize,
    order,
    inverse ? 1 : 0,
  ]);
}

/** Runs a {@linkcode QuantizeGroupsSpec}. */
export function quantizeGroups(
  context: Context,
  spec: QuantizeGroupsSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const { rows, columns, groupSize, bits, limit } = spec;
  checkIndices(context.indices(inputs[2], 2 ** bits), 2 ** bits, "code");
  const shape = [columns, Math.min(groupSize, columns), bits, limit];
  const buffers = [...addresses(inputs), ...addresses(outputs)];
  context.run("quantize_groups", { units: rows, cost: 10 * bits * columns }, [...buffers, ...shape]);
}

/** Runs a {@linkcode DequantizeGroupsSpec}. */
export function dequantizeGroups(
  context: Context,
  spec: DequantizeGroupsSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const { rows, columns } = spec;
  const weight = codebookWeight(context, { ...spec, inner: columns }, addresses(inputs));
  context.run("dequantize_groups", { units: rows, cost: 10 * columns }, [
    weight,
    outputs[0].address,
    columns,
  ]);
}

/** Runs a {@linkcode GroupedLinearSpec}. */
export function groupedLinear(
  context: Context,
  spec: GroupedLinearSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const { rows, columns, inner } = spec;
  const [codes, scales, weight, weightScales, bias = 0] = addresses(inputs);
  const mode = weightMode(context, spec.weightBits);
  const [panels] = packCodes(context, spec, codes, mode);
  const groups = Math.ceil(inner / spec.groupSize);
  const groupSteps = Math.ceil(Math.min(spec.groupSize, inner) / 32) * 2;
  const sums = context.temporary(rows * groups * 4);
  const width = panelWidth(rows);
  const packed = { units: Math.ceil(rows / width), cost: 3 * inner };
  context.run("group_sums", packed, [panels, sums, rows, inner, groupSteps, width, mode]);
  const scratch = context.exports.quik_scratch(groups * groupSteps * 16, 0, mode);
  const work = {
    units: Math.ceil(columns / TILE_COLUMNS),
    cost: 2 * rows * (inner + 16 * groups),
    scratch,
  };
  withResult(context, spec, outputs[0], (y) =>
    context.run("grouped_linear", work, [
      panels,
      sums,
      scales,
      weight,
      weightScales,
      bias,
      y,
      rows,
      columns,
      inner,
      groupSteps,
      mode,
    ]));
}

/** Runs a {@linkcode SparseAddSpec}. */
export function sparseAdd(context: Context, spec: SparseAddSpec, inputs: Region[], outputs: Region[]): void {
  const { rows, columns, inner, nonzeros } = spec;
  checkIndices(context.indices(inputs[1], columns + 1), nonzeros + 1, "row start");
  checkIndices(context.indices(inputs[2], nonzeros), inner, "index");
  const buffers = [...addresses(inputs), outputs[0].address];
  context.run("sparse_add", { units: rows, cost: 8 * (nonzeros + columns) }, [...buffers, columns, inner]);
}

/** Runs a {@linkcode LowRankAddSpec}: two products and a sum. */
export function lowRankAdd(
  context: Context,
  spec: LowRankAddSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const { rows, columns, inner, rank } = spec;
  const [x, down, up] = addresses(inputs);
  const y = outputs[0].address;
  const type = FLOAT_TYPES[spec.weightType];
  const narrow = context.temporary(rows * rank * 4);
  const wide = context.temporary(rows * columns * 4);
  floatProduct(context, { rows, columns: rank, inner }, { x, weight: down, type, bias: 0, y: narrow });
  floatProduct(context, { rows, columns, inner: rank }, { x: narrow, weight: up, type, bias: 0, y: wide });
  const count = rows * columns;
  context.run("add", { units: Math.ceil(count / 4), cost: 4 }, [y, wide, y, count]);
}
