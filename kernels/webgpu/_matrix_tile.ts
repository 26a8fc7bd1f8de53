// The tiled product on subgroup matrices (tensor cores): a workgroup stages tiles of both operands in workgroup memory,
// each subgroup of 32 multiplies its part from there. Only Dawn offers this today. What the sizes come from, measured:
// - A subgroup tile of 64 x 64 loads 32 multiply-adds per byte of workgroup memory, twice what 32 x 32 does; its sums
//   fill 128 of 255 registers.
// - Rows of a tile lie 144 bytes apart (128 and 16 of padding), so that eight rows fall into different banks.
// - Neighboring workgroups take neighboring rows of tiles (`BAND`), so that their operands meet in the L2 cache.
import type { WebGpuCapabilities } from "./capabilities.ts";

/** How a workgroup divides its tile; all counts are of 16 x 16 matrices or of subgroups. */
export interface MatrixShape {
  /** Matrices down and across in the tile of one subgroup. */
  readonly matrices: readonly [rows: number, columns: number];
  /** Subgroups down and across in the tile of the workgroup. */
  readonly subgroups: readonly [rows: number, columns: number];
  readonly pipelined?: boolean;
  readonly sets?: number;
  readonly ablate?: string;
}

/** One side of a product. Four invocations share a row of the tile; each loads a quarter of its part of a block. */
export interface MatrixOperand {
  /** Binding of an array of `load`. */
  readonly buffer: string;
  /** WGSL type of a quarter. */
  readonly load: "vec4<u32>" | "vec2<u32>";
  /** Quarters from one row to the next. A constant of the shader: a variable would cost a register per load. */
  readonly stride: number;
  /** WGSL expression for the number of rows where a tile may reach beyond them, otherwise undefined. */
  readonly rows?: string;
  /** Slabs that a block becomes: the same on both sides. */
  readonly slabs: number;
  /** WGSL expression of type `vec2<u32>`: the eight bytes that a loaded quarter gives to a slab. */
  pair(loaded: string, slab: number): string;
}

/** A product that is added into accumulators. */
export interface MatrixPhase {
  /** Type of the operands. */
  readonly component: "i8" | "f16";
  readonly left: MatrixOperand;
  readonly right: MatrixOperand;
  /** Number of blocks. */
  readonly blocks: number;
}

/** Rows of tiles that are walked together. */
const BAND = 4;
/** Pairs of words from one row of a tile to the next: two slabs of 32 bytes, and 16 bytes that keep the eight rows
 * that are read together in different banks. */
const ROW = 10;
/** The row that an invocation fills: in this order, the four rows that are written together lie in different banks. */
const LINE = "(local / 32u) * 8u + ((local / 4u) % 4u) * 2u + (local / 16u) % 2u";
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
): boolean {
  const has = (component: "i8" | "f16"): boolean =>
    subgroupMatrices.some(({ componentType, resultComponentType, M, N, K }) =>
      componentType === component && resultComponentType === (component === "i8" ? "i32" : "f32") &&
      M === 16 && N === 16 && K === (component === "i8" ? 32 : 16)
    );
  return components.every(has) && (float16 || !components.includes("f16")) &&
    subgroupMinSize === 32 && subgroupMaxSize === 32 &&
    memoryPairs(shape) * 8 <= limits.maxComputeWorkgroupStorageSize &&
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

/** Pairs of words in workgroup memory. */
function memoryPairs(shape: MatrixShape): number {
  const { rows, columns } = matrixTile(shape);
  const sums = 16 * sumRow(shape) * shape.subgroups[0] * shape.subgroups[1];
  return Math.max((rows + columns) * ROW, sums);
}

/** Names of a subgroup's accumulators, row by row. */
export function accumulators({ matrices }: MatrixShape, prefix: string): string[][] {
  return range(matrices[0]).map((i) => range(matrices[1]).map((j) => `${prefix}_${i}_${j}`));
}

/**
 * Opens the entry point: workgroup memory, indices, and the place of the tile (`row0`, `column0`).
 * Reads `uniforms.rows` and `uniforms.columns`.
 */
export function matrixPrologue(shape: MatrixShape, { leftRows, rightRows }: Tiling): string {
  const { rows, columns, threads } = matrixTile(shape);
  return `
var<workgroup> tile: array<vec2<u32>, ${memoryPairs(shape)}>;

@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(local_invocation_index) local: u32,
) {
  let row_tiles = (uniforms.rows + ${rows - 1}u) / ${rows}u;
  let column_tiles = (uniforms.columns + ${columns - 1}u) / ${columns}u;
  let index = workgroup.y * grid.x + workgroup.x;
  let band = index / (${BAND}u * column_tiles);
  let band_rows = min(row_tiles - min(row_tiles, band * ${BAND}u), ${BAND}u);
  if (band_rows == 0u) { return; }
  let in_band = index % (${BAND}u * column_tiles);
  if (in_band >= band_rows * column_tiles) { return; }
  let row0 = ${
    within(`(band * ${BAND}u + in_band % band_rows) * ${rows}u`, leftRows, `uniforms.rows - ${rows}u`)
  };
  let column0 = ${within(`(in_band / band_rows) * ${columns}u`, rightRows, `uniforms.columns - ${columns}u`)};
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

/** Adds a product into the accumulators `prefix_i_j`. */
export function matrixPhase(shape: MatrixShape, phase: MatrixPhase, prefix: string): string {
  const { slabs } = phase.left;
  const sides = [staging(shape, phase, "left"), staging(shape, phase, "right")];
  const each = (f: (side: Staging) => string): string => sides.map(f).join("\n      ");
  // Slabs are written one step before they are read, or two: fragments are then read a step before they are multiplied.
  const lead = shape.pipelined ? 2 : 1;
  const sets = shape.sets ?? 2;
  // A register is read again as soon as it is stored, so that reads have all other sets' time to arrive.
  const store = (from: string, ahead: number): string => {
    const slab = ahead % slabs;
    const block = Math.floor(ahead / slabs);
    const set = block % sets;
    const write = each((side) => side.store(set, slab, ahead % 2));
    if (slab < slabs - 1 || shape.ablate === "fetch") return write;
    return `${write}\n      ${
      each((side) => side.fetch(set, `min(${from} + ${block + sets}u, blocks - 1u)`))
    }`;
  };
  const step = (ahead: number): string =>
    `{
        ${loadFragments(shape, phase, (ahead + lead - 1) % 2)}
        ${store("block", ahead + lead)}
        ${multiply(shape, prefix, ahead % 2)}
        workgroupBarrier();
      }`;
  const block = (set: number): string =>
    [
      ...(set === 0 ? [] : [`if (block + ${set}u >= blocks) { break; }`]),
      ...range(slabs).map((slab) => step(set * slabs + slab)),
    ].join("\n      ");
  return `
  {
    let blocks = ${phase.blocks}u;
    ${each((side) => side.declare)}
    ${declareFragments(shape, phase)}
    ${range(sets).map((set) => each((side) => side.fetch(set, `min(${set}u, blocks - 1u)`))).join("\n    ")}
    ${range(lead).map((ahead) => store("0u", ahead)).join("\n    ")}
    workgroupBarrier();
    ${shape.pipelined ? `${loadFragments(shape, phase, 0)}\n    workgroupBarrier();` : ""}
    for (var block = 0u; block < blocks; block += ${sets}u) {
      ${range(sets).map(block).join("\n      ")}
    }
  }`;
}

function fragmentTypes({ component }: MatrixPhase): { left: string; right: string } {
  const depth = component === "i8" ? 32 : 16;
  return {
    left: `subgroup_matrix_left<${component}, ${depth}, 16>`,
    right: `subgroup_matrix_right<${component}, 16, ${depth}>`,
  };
}

function declareFragments(shape: MatrixShape, phase: MatrixPhase): string {
  const { left, right } = fragmentTypes(phase);
  return [0, 1].flatMap((set) => [
    ...range(shape.matrices[0]).map((i) => `var a${set}_${i}: ${left};`),
    ...range(shape.matrices[1]).map((j) => `var b${set}_${j}: ${right};`),
  ]).join(" ");
}

function loadFragments(shape: MatrixShape, phase: MatrixPhase, set: number): string {
  const { left, right } = fragmentTypes(phase);
  const rightStart = matrixTile(shape).rows * ROW;
  return [
    ...range(shape.matrices[0]).map((i) =>
      `a${set}_${i} = subgroupMatrixLoad<${left}, row_major>(&tile, subgroup_row * ${ROW}u + ${
        16 * i * ROW + 4 * set
      }u, ${ROW}u);`
    ),
    ...range(shape.matrices[1]).map((j) =>
      `b${set}_${j} = subgroupMatrixLoad<${right}, col_major>(&tile, subgroup_column * ${ROW}u + ${
        rightStart + 16 * j * ROW + 4 * set
      }u, ${ROW}u);`
    ),
  ].join("\n        ");
}

function multiply(shape: MatrixShape, prefix: string, set: number): string {
  return accumulators(shape, prefix).flatMap((names, i) =>
    names.map((sum, j) => `${sum} = subgroupMatrixMultiplyAccumulate(a${set}_${i}, b${set}_${j}, ${sum});`)
  ).join("\n        ");
}

/** How one operand moves from storage through registers into its part of the tile. */
interface Staging {
  /** Declarations of indices and registers. */
  readonly declare: string;
  /** Statements that read a block into a set of registers. */
  fetch(set: number, block: string): string;
  /** Statements that write one slab of a set to a stage. */
  store(set: number, slab: number, stage: number): string;
}

function staging(shape: MatrixShape, phase: MatrixPhase, side: "left" | "right"): Staging {
  const operand = phase[side];
  const { rows, columns, threads } = matrixTile(shape);
  const sets = shape.sets ?? 2;
  const lines = side === "left" ? rows : columns;
  const perPass = threads / 4;
  const passes = range(lines / perPass);
  const start = side === "left" ? "row0" : "column0";
  const name = (set: number, i: number): string => `${side}_${set}_${i}`;
  const at = (i: number): string => {
    const line = `${start} + line + ${i * perPass}u`;
    return `${
      operand.rows === undefined ? `(${line})` : `min(${line}, ${operand.rows} - 1u)`
    } * ${operand.stride}u + quarter`;
  };
  const fetch = (set: number, block: string): string =>
    passes.map((i) => {
      const index = `${side}_at_${i} + ${block} * 4u`;
      if (operand.stride % 4 === 0) return `${name(set, i)} = ${operand.buffer}[${index}];`;
      return `${
        name(set, i)
      } = select(${operand.load}(0u), ${operand.buffer}[min(${index}, arrayLength(&${operand.buffer}) - 1u)], ${block} * 4u + quarter < ${operand.stride}u);`;
    }).join(" ");
  return {
    declare: [
      ...(side === "left" ? ["let quarter = local % 4u;", `let line = ${LINE};`] : []),
      `let ${side}_to = ${side === "left" ? 0 : rows * ROW}u + line * ${ROW}u + quarter;`,
      ...passes.map((i) => `let ${side}_at_${i} = ${at(i)};`),
      range(sets).flatMap((set) => passes.map((i) => `var ${name(set, i)}: ${operand.load};`)).join(" "),
    ].join("\n    "),
    fetch,
    store: (set, slab, stage) =>
      passes.map((i) =>
        `tile[${side}_to + ${i * perPass * ROW + 4 * stage}u] = ${operand.pair(name(set, i), slab)};`
      ).join(" "),
  };
}

/** How the tiles of a result lie: see `tiling`. */
export interface Tiling {
  /** For `matrixOperand`: the rows of the left operand where tiles may reach beyond them. */
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

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
