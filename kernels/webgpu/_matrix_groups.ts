// Sums of groups on subgroup matrices. Elements of a matrix have no known place in registers, so that scales of rows and
// columns cannot be applied there: at the end of a group its exact sums pass through workgroup memory, and every invocation
// adds those of known places, scaled, to float sums of its own.
import { accumulators, type MatrixShape, matrixTile } from "./_matrix_tile.ts";
import { range } from "./_range.ts";

/** A product with scales per group on both sides, from bindings `scales` and `weight_scales` of type f32, that is summed up in
 * integer accumulators `acc`. */
export interface GroupedSums {
  /** The tile; an even number of matrices lie side by side in a subgroup. */
  readonly shape: MatrixShape;
  /** Blocks of k. */
  readonly blocks: number;
  /** Blocks of a group. */
  readonly groupBlocks: number;
  /** Groups of a row. */
  readonly groups: number;
  /** Power of two by which the accumulators are too large, as a shift. */
  readonly shift: number;
}

/** Matrices side by side that pass through memory together. */
const SPAN = 2;
/** Pairs of words from one row of their sums to the next. So padded, neither writes of matrices nor reads of rows meet in a bank;
 * those of a single matrix would, padded or not. */
const SUM_STRIDE = 8 * SPAN + 4;
/** Invocations that read a row of them, four sums each. */
const ACROSS = 4 * SPAN;
/** Rows that a subgroup reads at once. */
const LINES = 32 / ACROSS;

/** Bytes of workgroup memory. */
export function groupedSumBytes(shape: MatrixShape): number {
  const { rows, columns, threads } = matrixTile(shape);
  return 16 * SUM_STRIDE * 8 * threads / 32 + 4 * (rows + columns);
}

/** The parts of the result that pass through memory together, and the four neighbors that an invocation takes of each. */
interface Part {
  /** First row of matrices. */
  readonly i: number;
  /** Matrices across. */
  readonly columns: readonly number[];
  /** Names of the float sums, one for each pass over the part. */
  readonly totals: readonly string[];
}

function partsOf({ shape }: GroupedSums): Part[] {
  const [down, across] = shape.matrices;
  return range(down).flatMap((i) =>
    range(across / SPAN).map((d) => ({
      i,
      columns: range(SPAN).map((j) => d * SPAN + j),
      totals: range(16 / LINES).map((t) => `total_${i}_${d}_${t}`),
    }))
  );
}

/** WGSL at module scope. */
export function groupedSumMemory({ shape }: GroupedSums): string {
  const { rows, columns, threads } = matrixTile(shape);
  return `
var<workgroup> group_sums: array<vec2<u32>, ${16 * SUM_STRIDE * threads / 32}>;
var<workgroup> row_scales: array<f32, ${rows}>;
var<workgroup> column_scales: array<f32, ${columns}>;`;
}

/** Where the sums of a pass lie, from 0 in the tile of a subgroup. */
function placeOf({ i, columns }: Part, t: number): { row: string; column: string } {
  return {
    row: `${16 * i + t * LINES}u + lane / ${ACROSS}u`,
    column: `${16 * columns[0]}u + 4u * (lane % ${ACROSS}u)`,
  };
}

/** Statements that declare the float sums, and read the scales of the first group. */
export function declareTotals(sums: GroupedSums): string {
  return `
  ${partsOf(sums).flatMap(({ totals }) => totals.map((name) => `var ${name}: vec4<f32>;`)).join(" ")}
  let group_sums_here = subgroup * ${16 * SUM_STRIDE}u;
  ${declareScales(sums)}
  ${readScales(sums, "0u")}`;
}

/** Numbers of the scales that an invocation reads; beyond the last it reads that one again. */
const scaleItems = ({ shape }: GroupedSums): { rows: number[]; columns: number[]; threads: number } => {
  const { rows, columns, threads } = matrixTile(shape);
  return { rows: range(Math.ceil(rows / threads)), columns: range(Math.ceil(columns / threads)), threads };
};

function declareScales(sums: GroupedSums): string {
  const { rows, columns } = scaleItems(sums);
  return [
    ...rows.map((i) => `var row_scale_${i}: f32;`),
    ...columns.map((i) => `var column_scale_${i}: f32;`),
  ].join(" ");
}

/** Reads scales of a group into registers, where they stay until its end. */
function readScales(sums: GroupedSums, group: string): string {
  const { rows, columns, threads } = scaleItems(sums);
  const tile = matrixTile(sums.shape);
  const index = (start: string, i: number, most: number, count: string): string =>
    `min(${start} + min(local + ${i * threads}u, ${most - 1}u), ${count} - 1u) * ${sums.groups}u + ${group}`;
  return [
    ...rows.map((i) =>
      `row_scale_${i} = scales[${index("row0", i, tile.rows, "uniforms.rows")}] * ${2 ** -sums.shift};`
    ),
    ...columns.map((i) =>
      `column_scale_${i} = weight_scales[${index("column0", i, tile.columns, "uniforms.columns")}];`
    ),
  ].join("\n  ");
}

/** Statements after a block: at the end of its group, the sums of the group are added to the float sums. */
export function addGroup(sums: GroupedSums, block: string): string {
  const { blocks, groupBlocks } = sums;
  if (groupBlocks === 1) return `{ ${flush(sums, `${block} + 1u`)} }`;
  const ends = groupBlocks >= blocks
    ? `${block} + 1u == blocks`
    : `(${block} + 1u) % ${groupBlocks}u == 0u || ${block} + 1u == blocks`;
  return `if (${ends}) { ${flush(sums, `(${block} + 1u) / ${groupBlocks}u`)} }`;
}

function flush(sums: GroupedSums, nextGroup: string): string {
  const parts = partsOf(sums);
  return `
        ${keepScales(sums)}
        ${parts.map((part, p) => addPart(sums, part, p === 0, p === parts.length - 1)).join("\n        ")}
        ${readScales(sums, `min(${nextGroup}, ${sums.groups - 1}u)`)}
      `;
}

/** Puts the scales of the group that ends where all invocations see them. */
function keepScales(sums: GroupedSums): string {
  const { rows, columns, threads } = scaleItems(sums);
  const tile = matrixTile(sums.shape);
  const keep = (kept: string, i: number, most: number): string => {
    const write = `${kept}s[local + ${i * threads}u] = ${kept}_${i};`;
    return (i + 1) * threads <= most ? write : `if (local + ${i * threads}u < ${most}u) { ${write} }`;
  };
  return [
    ...rows.map((i) => keep("row_scale", i, tile.rows)),
    ...columns.map((i) => keep("column_scale", i, tile.columns)),
  ].join(" ");
}

function addPart(sums: GroupedSums, part: Part, first: boolean, last: boolean): string {
  const names = accumulators(sums.shape, "acc")[part.i];
  const store = part.columns.map((column, j) =>
    `subgroupMatrixStore<row_major>(&group_sums, group_sums_here + ${8 * j}u, ${
      names[column]
    }, ${SUM_STRIDE}u);
        ${names[column]} = subgroup_matrix_result<i32, 16, 16>();`
  );
  const add = part.totals.map((total, t) =>
    `{ let place = group_sums_here + (${
      t * LINES
    }u + lane / ${ACROSS}u) * ${SUM_STRIDE}u + 2u * (lane % ${ACROSS}u);
          let exact = bitcast<vec4<i32>>(vec4<u32>(group_sums[place], group_sums[place + 1u]));
          ${total} += vec4<f32>(exact) * (row_scale_of_${part.i}_${t} * column_scale_of_${
      part.columns[0]
    }); }`
  );
  return `${store.join("\n        ")}
        workgroupBarrier();
        ${first ? lookUpScales(sums) : ""}
        ${add.join("\n        ")}
        ${last ? "" : "workgroupBarrier();"}`;
}

/** Reads the scales of an invocation's rows and columns, each once. */
function lookUpScales(sums: GroupedSums): string {
  const parts = partsOf(sums);
  const rows = parts.filter(({ columns }) => columns[0] === 0).flatMap((part) =>
    part.totals.map((_, t) =>
      `let row_scale_of_${part.i}_${t} = row_scales[subgroup_row + ${placeOf(part, t).row}];`
    )
  );
  const columns = parts.filter(({ i }) => i === 0).map((part) => {
    const scale = (c: number): string =>
      `column_scales[subgroup_column + ${placeOf(part, 0).column} + ${c}u]`;
    return `let column_scale_of_${part.columns[0]} = vec4<f32>(${range(4).map(scale).join(", ")});`;
  });
  return [...rows, ...columns].join("\n        ");
}

/** Statements for every four float sums; `row` and `column`, the first of the four, are known. */
export function eachTotal(sums: GroupedSums, use: (total: string) => string): string {
  return partsOf(sums).flatMap((part) =>
    part.totals.map((total, t) => {
      const { row, column } = placeOf(part, t);
      return `{ let row = row0 + subgroup_row + ${row}; let column = column0 + subgroup_column + ${column};
    ${use(total)} }`;
    })
  ).join("\n  ");
}
