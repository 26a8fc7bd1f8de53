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
  /** Bytes of k per step and row of a tile. */
  readonly stepBytes: 64 | 128;
}

/** One side of a product: rows of 16-byte units. */
export interface MatrixOperand {
  /** Binding of type `array<vec4<u32>>`. */
  readonly buffer: string;
  /** Units from one row to the next. A constant of the shader: a variable would cost a register per fetched unit. */
  readonly stride: number;
  /** WGSL expression for the number of rows where a tile may reach beyond them, otherwise undefined. */
  readonly rows?: string;
  /** Whether the units of a row fill whole steps. */
  readonly wholeSteps: boolean;
  /** WGSL expressions for the vectors that a fetched unit becomes in workgroup memory. */
  readonly expand: readonly ((value: string) => string)[];
}

/** A product that is added into accumulators. */
export interface MatrixPhase {
  /** Type of the operands. */
  readonly component: "i8" | "f16";
  readonly left: MatrixOperand;
  readonly right: MatrixOperand;
  /** Number of steps. */
  readonly steps: number;
}

/** Rows of tiles that are walked together. */
const BAND = 4;
const PAD_VECTORS = 1;
/** Vectors between rows of sums in workgroup memory, beyond the sums: keeps eight rows in different banks. */
const SUM_PAD_VECTORS = 2;

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
    memoryVectors(shape) * 16 <= limits.maxComputeWorkgroupStorageSize &&
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

function rowVectors(shape: MatrixShape): number {
  return shape.stepBytes / 16 + PAD_VECTORS;
}

/** Vectors from one row of sums to the next, where a subgroup keeps sixteen rows of them. */
export function sumRowVectors({ matrices }: MatrixShape): number {
  return 4 * matrices[1] + SUM_PAD_VECTORS;
}

function memoryVectors(shape: MatrixShape): number {
  const { rows, columns } = matrixTile(shape);
  const sums = 16 * sumRowVectors(shape) * shape.subgroups[0] * shape.subgroups[1];
  return Math.max((rows + columns) * rowVectors(shape), sums);
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
var<workgroup> tile: array<vec4<u32>, ${memoryVectors(shape)}>;

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
  let sums = subgroup * ${16 * sumRowVectors(shape)}u;`;
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
  const left = staging(shape, phase.left, "left");
  const right = staging(shape, phase.right, "right");
  return `
  {
    let steps = ${phase.steps}u;
    ${left.declare}
    ${right.declare}
    ${left.fetch("0u")}
    ${right.fetch("0u")}
    for (var step = 0u; step < steps; step++) {
      workgroupBarrier();
      // Each register is fetched again as soon as it is stored: the reads have the barrier and the whole product to arrive.
      let next = min(step + 1u, steps - 1u);
      ${left.advance("next")}
      ${right.advance("next")}
      workgroupBarrier();
      ${multiplyStep(shape, phase.component, prefix)}
    }
    workgroupBarrier();
  }`;
}

function multiplyStep(shape: MatrixShape, component: "i8" | "f16", prefix: string): string {
  const depth = component === "i8" ? 32 : 16;
  const row = rowVectors(shape);
  const rightStart = matrixTile(shape).rows * row;
  const sums = accumulators(shape, prefix);
  const slab = (q: number): string =>
    `{
        ${
      sums.map((_, i) =>
        `let a_${i} = subgroupMatrixLoad<subgroup_matrix_left<${component}, ${depth}, 16>, row_major>(&tile, left_start + ${
          16 * i * row + 2 * q
        }u, ${row}u);`
      ).join("\n        ")
    }
        ${
      sums[0].map((_, j) =>
        `let b_${j} = subgroupMatrixLoad<subgroup_matrix_right<${component}, 16, ${depth}>, col_major>(&tile, right_start + ${
          16 * j * row + 2 * q
        }u, ${row}u);`
      ).join("\n        ")
    }
        ${
      sums.flatMap((names, i) =>
        names.map((sum, j) => `${sum} = subgroupMatrixMultiplyAccumulate(a_${i}, b_${j}, ${sum});`)
      ).join("\n        ")
    }
      }`;
  return `let left_start = subgroup_row * ${row}u;
      let right_start = ${rightStart}u + subgroup_column * ${row}u;
      ${range(shape.stepBytes / 32).map(slab).join("\n      ")}`;
}

/** Statements that move an operand from storage through registers into its part of the tile. */
function staging(
  shape: MatrixShape,
  operand: MatrixOperand,
  side: "left" | "right",
): { declare: string; fetch: (step: string) => string; advance: (step: string) => string } {
  const { rows, columns, threads } = matrixTile(shape);
  const lines = side === "left" ? rows : columns;
  const row = rowVectors(shape);
  const units = shape.stepBytes / 16 / operand.expand.length;
  const perPass = threads / units;
  const passes = range(lines / perPass);
  const start = side === "left" ? "row0" : "column0";
  const at = (i: number): string => {
    const line = `${start} + ${side}_line + ${i * perPass}u`;
    return operand.rows === undefined
      ? `${side}_from + ${i * perPass * operand.stride}u`
      : `min(${line}, ${operand.rows} - 1u) * ${operand.stride}u + ${side}_unit`;
  };
  const fetch = (i: number, step: string): string => {
    const index = `${side}_at_${i} + ${step} * ${units}u`;
    if (operand.wholeSteps) return `${side}_${i} = ${operand.buffer}[${index}];`;
    const unit = `${step} * ${units}u + ${side}_unit`;
    return `${side}_${i} = select(vec4<u32>(0u), ${operand.buffer}[min(${index}, arrayLength(&${operand.buffer}) - 1u)], ${unit} < ${operand.stride}u);`;
  };
  const store = (i: number): string =>
    operand.expand.map((expand, e) =>
      `tile[${side}_to + ${i * perPass * row + e}u] = ${expand(`${side}_${i}`)};`
    ).join(" ");
  return {
    declare: [
      `let ${side}_line = local / ${units}u;`,
      `let ${side}_unit = local % ${units}u;`,
      `let ${side}_from = (${start} + ${side}_line) * ${operand.stride}u + ${side}_unit;`,
      `let ${side}_to = ${
        side === "left" ? 0 : rows * row
      }u + ${side}_line * ${row}u + ${side}_unit * ${operand.expand.length}u;`,
      ...passes.map((i) => `let ${side}_at_${i} = ${at(i)}; var ${side}_${i}: vec4<u32>;`),
    ].join("\n    "),
    fetch: (step) => passes.map((i) => fetch(i, step)).join("\n      "),
    advance: (step) => passes.map((i) => `${store(i)} ${fetch(i, step)}`).join("\n      "),
  };
}

/**
 * A binding as an operand.
 *
 * @param name The binding.
 * @param units Units of a row, which are its stride.
 * @param rows WGSL expression for the number of rows where a tile may reach beyond them.
 * @param shape The tile.
 * @param expand What becomes of a unit.
 */
export function matrixOperand(
  name: string,
  units: number,
  rows: string | undefined,
  shape: MatrixShape,
  expand: MatrixOperand["expand"],
): MatrixOperand {
  const perStep = shape.stepBytes / 16 / expand.length;
  return { buffer: name, stride: units, rows, wholeSteps: units > 0 && units % perStep === 0, expand };
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
