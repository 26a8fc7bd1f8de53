// Products on subgroup matrices whose tiles do not fill a large device, or fill it some times and leave a few over: several
// workgroups divide k of such tiles among them and leave float sums of their parts, which another pass adds up.
import type { ResultOptions } from "../specs.ts";
import { matrixResultBinding, matrixResultFunctions, storeResults } from "./_matrix_epilogue.ts";
import { type ColumnRange, type MatrixShape, matrixTile } from "./_matrix_tile.ts";
import {
  type Binding,
  type ComputePass,
  definePass,
  type KernelProgram,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  scratch,
} from "./program.ts";
import { range } from "./_range.ts";

/** How k is divided. */
export interface Split {
  /** Parts, each with at least one block. */
  readonly parts: number;
  /** Blocks of a part. */
  readonly partBlocks: number;
}

/** The columns that one pass computes, and whether it leaves sums of parts. */
export interface Portion {
  /** All columns if left out. */
  readonly range?: ColumnRange;
  readonly split?: Split;
}

/** The result that portions make up. */
export interface PortionedResult extends ResultOptions {
  readonly rows: number;
  readonly columns: number;
}

/** Processors of a large device, each of which takes one large tile at a time. */
const PROCESSORS = 132;

/** Workgroups with small tiles that keep them busy: some on each hide each other's waiting. */
const ENOUGH_WORKGROUPS = 3 * PROCESSORS;

/** Fewest blocks that are worth a part of their own. */
const FEWEST_BLOCKS = 4;

const rangeOf = ({ columns }: PortionedResult, { range }: Portion): ColumnRange =>
  range ?? { from: 0, to: columns };

/** Workgroups of the pass that computes a portion. */
export function portionWorkgroups(shape: MatrixShape, result: PortionedResult, portion: Portion): number {
  const tile = matrixTile(shape);
  const { from, to } = rangeOf(result, portion);
  return Math.ceil(result.rows / tile.rows) * Math.ceil((to - from) / tile.columns) *
    (portion.split?.parts ?? 1);
}

function splitInto(shape: MatrixShape, blocks: number, parts: number): Split | undefined {
  const most = Math.min(parts, Math.floor(blocks / FEWEST_BLOCKS));
  if (most < 2) return undefined;
  const partBlocks = shape.inFlight * Math.ceil(blocks / most / shape.inFlight);
  return { parts: Math.ceil(blocks / partBlocks), partBlocks };
}

/** Divides `blocks` blocks of k in all tiles; undefined where the tiles suffice. */
export function dividedPortions(
  shape: MatrixShape,
  result: PortionedResult,
  blocks: number,
): Portion[] | undefined {
  const tiles = portionWorkgroups(shape, result, {});
  const split = splitInto(shape, blocks, Math.floor(ENOUGH_WORKGROUPS / tiles));
  return split && [{ split }];
}

/**
 * Divides k in the last columns of tiles, as many as are left over when all processors have had equally many; undefined where few
 * processors would be idle in the last turn.
 */
export function tailPortions(
  shape: MatrixShape,
  result: PortionedResult,
  blocks: number,
  processors = PROCESSORS,
): Portion[] | undefined {
  const tile = matrixTile(shape);
  const down = Math.ceil(result.rows / tile.rows);
  const across = Math.floor(result.columns / tile.columns);
  // The last columns are whole tiles, and one moved back where they do not fill it: so there must be one before it.
  const most = result.columns % tile.columns === 0 ? across : across - 1;
  const kept = Math.min(most, Math.floor(Math.floor(down * across / processors) * processors / down));
  const range = { from: kept * tile.columns, to: result.columns };
  const tiles = portionWorkgroups(shape, result, { range });
  const split = kept > 0 && tiles > 0 ? splitInto(shape, blocks, Math.floor(processors / tiles)) : undefined;
  return split && [{ range: { from: 0, to: range.from } }, { range, split }];
}

/** Vectors of four sums from one row to the next. */
function strideOf(result: PortionedResult, portion: Portion): number {
  const { from, to } = rangeOf(result, portion);
  return Math.ceil((to - from) / 4);
}

/** Bytes of the sums of all parts. */
function partSumBytes(result: PortionedResult, portion: Portion): number {
  return (portion.split?.parts ?? 0) * result.rows * strideOf(result, portion) * 16;
}

/** The binding of the sums, scratch buffer `index`. */
export const partSums = (index: number, access: "read" | "write"): Binding =>
  scratch(index, "part_sums", "array<vec4<f32>>", access);

/** WGSL expression: what is added once, in the first part if k is divided. */
export const inFirstPart = (value: string, { split }: Portion): string =>
  split ? `select(vec4<f32>(0.0), ${value}, part == 0u)` : value;

/** Statements that store four results of a portion, or leave four sums of the workgroup's part. */
export function storePortion(result: PortionedResult, portion: Portion, sums: string): string {
  if (portion.split === undefined) return storeResults(result, sums);
  const { from } = rangeOf(result, portion);
  return `if (row < uniforms.rows && column < uniforms.columns) {
        part_sums[(part * uniforms.rows + row) * ${
    strideOf(result, portion)
  }u + (column - ${from}u) / 4u] = ${sums};
      }`;
}

const THREADS = 128;

/** The pass that adds the parts of a portion up, from scratch buffer `index`. */
function sumPartsPass(result: PortionedResult, portion: Portion, index: number): ComputePass {
  const { rows, columns } = result;
  const stride = strideOf(result, portion);
  const plane = rows * stride;
  const sums = range(portion.split?.parts ?? 0).map((part) => `part_sums[i + ${part * plane}u]`);
  return definePass({
    bindings: [partSums(index, "read"), matrixResultBinding(result, "f32")],
    uniforms: { rows, columns },
    workgroups: linearWorkgroups(Math.ceil(plane / THREADS)),
    body: `
${matrixResultFunctions(result)}
${linearMain(THREADS)}
  let i = ${LINEAR_WORKGROUP} * ${THREADS}u + local;
  let row = i / ${stride}u;
  let column = ${rangeOf(result, portion).from}u + i % ${stride}u * 4u;
  if (row >= uniforms.rows) { return; }
  let sum = ${sums.join(" + ")};
  ${storeResults(result, "sum")}
}`,
  });
}

/**
 * The passes of all portions, of which one may be divided, and their scratch memory.
 *
 * @param result The result.
 * @param portions What makes it up.
 * @param sumsAt Number of the scratch buffer for sums of parts, the first that is free.
 * @param product Writes the pass of a portion.
 */
export function portionPasses(
  result: PortionedResult,
  portions: readonly Portion[],
  sumsAt: number,
  product: (portion: Portion) => ComputePass,
): Required<Pick<KernelProgram, "passes" | "scratch">> {
  const divided = portions.filter(({ split }) => split !== undefined);
  return {
    passes: [...portions.map(product), ...divided.map((portion) => sumPartsPass(result, portion, sumsAt))],
    scratch: divided.map((portion) => partSumBytes(result, portion)),
  };
}
