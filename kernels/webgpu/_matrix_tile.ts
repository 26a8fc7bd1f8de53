// The tiled product on subgroup matrices (tensor cores): a workgroup stages tiles of both operands in workgroup memory,
// each subgroup of 32 multiplies its part from there. Only Dawn offers this today. What the sizes come from, measured:
// - A subgroup tile of 64 x 64 loads 32 multiply-adds per byte of workgroup memory, twice what 32 x 32 does; its sums
//   fill 128 of 255 registers.
// - Two slabs of k lie in memory: one is multiplied while the next is written, and one barrier a slab keeps them apart.
// - Rows of a tile lie 80 bytes apart, so that eight rows fall into different banks, and the four rows that are written
//   together are chosen so that they do too.
// - An NVIDIA driver gives a processor some 48 KB of workgroup memory in all: two workgroups of 128 x 128 share one.
// - Neighboring workgroups take neighboring rows of tiles (`BAND`), so that their operands meet in the L2 cache.
import type { WebGpuCapabilities } from "./capabilities.ts";
import { range } from "./_range.ts";
import { LINEAR_WORKGROUP } from "./program.ts";

/** How a workgroup divides its tile; all counts are of 16 x 16 matrices or of subgroups. */
export interface MatrixShape {
  /** Matrices down and across in the tile of one subgroup. */
  readonly matrices: readonly [rows: number, columns: number];
  /** Subgroups down and across in the tile of the workgroup. */
  readonly subgroups: readonly [rows: number, columns: number];
  /** Whether a subgroup reads the matrices of a slab one step before it multiplies them: no step starts with waiting for
   * them, at the price of registers. */
  readonly ahead: boolean;
  /** Blocks on their way from storage, in registers. */
  readonly inFlight: number;
  /** Whether both operands are read `inTextOrder`: two blocks in flight beside matrices read ahead were measured to pay only
   * so. */
  readonly ordered: boolean;
}

/** Some columns of a result. */
export interface ColumnRange {
  readonly from: number;
  readonly to: number;
}

/** Rows of tiles that are walked together. */
const BAND = 4;
/** Pairs of words from one row of a tile to the next: two slabs of 32 bytes, and 16 bytes that keep the eight rows
 * that are read together in different banks. */
export const ROW = 10;
/** Pairs of words between rows of sums in workgroup memory, beyond the sums: keeps eight rows in different banks. */
const SUM_PAD = 4;

/** Rows and columns of a workgroup's tile. */
export function matrixTile(shape: MatrixShape): { rows: number; columns: number; threads: number } {
  const { matrices, subgroups } = shape;
  return {
    rows: 16 * matrices[0] * subgroups[0],
    columns: 16 * matrices[1] * subgroups[1],
    threads: 32 * subgroups[0] * subgroups[1],
  };
}

/** Whether a device has the matrices and the memory for a shape. */
export function matrixFits(
  shape: MatrixShape,
  components: readonly ("i8" | "f16")[],
  { subgroupMatrices, subgroupMinSize, subgroupMaxSize, limits, float16 }: WebGpuCapabilities,
  bytes = memoryPairs(shape) * 8,
): boolean {
  const has = (component: "i8" | "f16"): boolean =>
    subgroupMatrices.some(({ componentType, resultComponentType, M, N, K }) =>
      componentType === component && resultComponentType === (component === "i8" ? "i32" : "f32") &&
      M === 16 && N === 16 && K === (component === "i8" ? 32 : 16)
    );
  return components.every(has) && (float16 || !components.includes("f16")) &&
    subgroupMinSize === 32 && subgroupMaxSize === 32 &&
    bytes <= limits.maxComputeWorkgroupStorageSize &&
    matrixTile(shape).threads <= limits.maxComputeInvocationsPerWorkgroup;
}

/** Directives of a shader that uses these components. */
export function matrixEnables(components: readonly ("i8" | "f16")[]): string[] {
  return [
    ...(components.includes("f16") ? ["f16"] : []),
    "subgroups",
    "chromium_experimental_subgroup_matrix",
  ];
}

/** Pairs of words from one row of sums to the next, where a subgroup keeps sixteen rows of them. */
export function sumRow({ matrices }: MatrixShape): number {
  return 8 * matrices[1] + SUM_PAD;
}

/** Pairs of words in workgroup memory that hold slabs of both operands. */
export function operandPairs(shape: MatrixShape): number {
  const { rows, columns } = matrixTile(shape);
  return (rows + columns) * ROW;
}

/** Pairs of words in workgroup memory where sums pass through it in the end. */
export function memoryPairs(shape: MatrixShape): number {
  const sums = 16 * sumRow(shape) * shape.subgroups[0] * shape.subgroups[1];
  return Math.max(operandPairs(shape), sums);
}

/** Names of a subgroup's accumulators, row by row. */
export function accumulators({ matrices }: MatrixShape, prefix: string): string[][] {
  return range(matrices[0]).map((i) => range(matrices[1]).map((j) => `${prefix}_${i}_${j}`));
}

/**
 * Opens the entry point: workgroup memory, indices, and the place of the tile (`row0`, `column0`).
 * Reads `uniforms.rows` and `uniforms.columns`.
 *
 * @param shape The tile.
 * @param tiles How tiles lie.
 * @param options `pairs` of words in workgroup memory; `parts` into which k is divided, each a workgroup's `part`; the
 * `range` of columns, if not all are computed: whole tiles, but for the last.
 * @returns WGSL.
 */
export function matrixPrologue(
  shape: MatrixShape,
  { leftRows, rightRows }: Tiling,
  { pairs = memoryPairs(shape), parts = 1, range: columnRange }: {
    readonly pairs?: number;
    readonly parts?: number;
    readonly range?: ColumnRange;
  } = {},
): string {
  const { rows, columns, threads } = matrixTile(shape);
  const columnTiles = columnRange === undefined
    ? `(uniforms.columns + ${columns - 1}u) / ${columns}u`
    : `${Math.ceil((columnRange.to - columnRange.from) / columns)}u`;
  const firstColumn = columnRange === undefined ? "" : `${columnRange.from}u + `;
  const lastStart = columnRange === undefined
    ? `uniforms.columns - ${columns}u`
    : `${columnRange.to - columns}u`;
  const index = parts === 1 ? `let index = ${LINEAR_WORKGROUP};` : `let tiles = row_tiles * column_tiles;
  let part = ${LINEAR_WORKGROUP} / tiles;
  if (part >= ${parts}u) { return; }
  let index = ${LINEAR_WORKGROUP} % tiles;`;
  return `
var<workgroup> tile: array<vec2<u32>, ${pairs}>;

@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(local_invocation_index) local: u32,
) {
  let row_tiles = (uniforms.rows + ${rows - 1}u) / ${rows}u;
  let column_tiles = ${columnTiles};
  ${index}
  let band = index / (${BAND}u * column_tiles);
  let band_rows = min(row_tiles - min(row_tiles, band * ${BAND}u), ${BAND}u);
  if (band_rows == 0u) { return; }
  let in_band = index % (${BAND}u * column_tiles);
  if (in_band >= band_rows * column_tiles) { return; }
  let row0 = ${
    within(`(band * ${BAND}u + in_band % band_rows) * ${rows}u`, leftRows, `uniforms.rows - ${rows}u`)
  };
  let column0 = ${within(`${firstColumn}(in_band / band_rows) * ${columns}u`, rightRows, lastStart)};
  let lane = local % 32u;
  let subgroup_row = (subgroup / ${shape.subgroups[1]}u) * ${16 * shape.matrices[0]}u;
  let subgroup_column = (subgroup % ${shape.subgroups[1]}u) * ${16 * shape.matrices[1]}u;
  let sums = subgroup * ${16 * sumRow(shape)}u;`;
}

function within(start: string, beyond: string | undefined, last: string): string {
  return beyond === undefined ? `min(${start}, ${last})` : start;
}

/** Declares zeroed accumulators. */
export function declareSums(shape: MatrixShape, prefix: string, type: "i32" | "f32"): string {
  return accumulators(shape, prefix).flat()
    .map((name) => `  var ${name}: subgroup_matrix_result<${type}, 16, 16>;`).join("\n");
}

/** How the tiles of a result lie: see `tiling`. */
export interface Tiling {
  /** WGSL expression for the rows of the left operand, where tiles may reach beyond them. */
  readonly leftRows: string | undefined;
  /** The same for the right operand. */
  readonly rightRows: string | undefined;
}

/**
 * How the tiles of a result lie. A result at least as large as a tile is covered by tiles that lie inside it: the last
 * one is moved back, and computes what its neighbor computes too. Otherwise rows beyond are read as the last row.
 */
export function tiling(shape: MatrixShape, rows: number, columns: number): Tiling {
  const tile = matrixTile(shape);
  return {
    leftRows: rows >= tile.rows ? undefined : "uniforms.rows",
    rightRows: columns >= tile.columns && columns % 4 === 0 ? undefined : "uniforms.columns",
  };
}
