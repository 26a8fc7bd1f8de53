// The product for few rows, such as one token: bound by reading the right operand once. A workgroup computes eight
// columns; the 32 invocations of a column stride over k together, keep one sum per row in registers, and reduce at the end.
import { resultOf, type TilePhase } from "./_tile.ts";
import { LINEAR_WORKGROUP, linearMain, type Workgroups } from "./program.ts";
import { range } from "./_range.ts";

const LANES = 32;
const COLUMNS = 8;
const THREADS = LANES * COLUMNS;

/** Most rows that the kernel for few rows takes. */
export const FEW_ROWS = 16;

/** Accumulators that a shader for so many rows is compiled with: the next power of two. */
export function rowBlock(rows: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(rows, 1)));
}

/** Workgroups that cover a result of so many columns. */
export function rowWorkgroups(columns: number): Workgroups {
  const groups = Math.max(1, Math.ceil(columns / COLUMNS));
  const lines = Math.ceil(groups / 65535);
  return [Math.ceil(groups / lines), lines, 1];
}

/** A phase of the product, over `units` units of k: as many vectors as the longer expansion of the two operands. */
export type RowPhase = Omit<TilePhase, "steps"> & { readonly units: string };

/** Vectors of k in one unit of a phase. */
export function unitVectors(phase: Pick<TilePhase, "left" | "right">): number {
  return Math.max(phase.left.expand.length, phase.right.expand.length);
}

/**
 * Writes a shader for few rows: its workgroup memory and its entry point.
 *
 * @param block Rows it keeps sums for.
 * @param phases Products to accumulate, one after the other.
 * @param epilogue Statements for one element (`row` and `column` are known; `sum(phase)` names its sum).
 * @param prologue Statements before anything else.
 * @returns WGSL. It reads `uniforms.rows` and `uniforms.columns`.
 */
export function rowShader(
  block: number,
  phases: readonly RowPhase[],
  epilogue: (sum: (phase: number) => string) => string,
  prologue = "",
): string {
  const declarations = [
    ...new Set(phases.flatMap(({ left, right }) => [left.declarations, right.declarations])),
  ];
  return `
var<workgroup> partial: array<i32, ${THREADS * block}>;

${declarations.join("\n")}

${linearMain(THREADS)}
  let column0 = ${LINEAR_WORKGROUP} * ${COLUMNS}u;
  let own_column = column0 + local / ${LANES}u;
  let lane = local % ${LANES}u;
  ${prologue}
${phases.map((phase, p) => rowPhase(block, phase, p)).join("\n")}
  let row = local / ${COLUMNS}u;
  let column = column0 + local % ${COLUMNS}u;
  if (row < uniforms.rows && column < uniforms.columns) {
    ${epilogue((phase) => `sum_${phase}`)}
  }
}`;
}

function rowPhase(block: number, phase: RowPhase, p: number): string {
  const { left, right, accumulator, flush } = phase;
  const { prefix, type } = resultOf(phase);
  const vectors = unitVectors(phase);
  const sums = range(block).map((m) => `${accumulator}_${m}`);
  const rightUnits = vectors / right.expand.length;
  const leftUnits = vectors / left.expand.length;
  const fetchRight = range(rightUnits).map((u) =>
    `let right_unit_${u} = unit * ${rightUnits}u + ${u}u; let right_${u} = ${
      right.fetch("own_column", `right_unit_${u}`)
    };`
  );
  const expandRight = range(rightUnits).flatMap((u) =>
    right.expand.map((expand, e) =>
      `let b_${u * right.expand.length + e} = ${expand(`right_${u}`, "own_column", `right_unit_${u}`)};`
    )
  );
  const rows = sums.map((sum, m) => {
    const products = range(leftUnits).flatMap((u) => [
      `let left_unit_${u} = unit * ${leftUnits}u + ${u}u; let left_${u} = ${
        left.fetch(`${m}u`, `left_unit_${u}`)
      };`,
      ...left.expand.map((expand, e) => {
        const v = u * left.expand.length + e;
        return `let a_${v} = ${expand(`left_${u}`, `${m}u`, `left_unit_${u}`)}; ${
          phase.multiply(sum, `a_${v}`, `b_${v}`)
        }`;
      }),
    ]);
    return `{ ${products.join("\n          ")} }`;
  });
  const results = range(block).map((m) => `${prefix}_${m}`);
  const flushes = flush
    ? sums.map((sum, m) => {
      const at = { row: `min(${m}u, uniforms.rows - 1u)`, column: "weight_column", step: "unit" };
      return `${results[m]} += ${flush.value(sum, at)}; ${sum} = 0;`;
    })
    : [];
  const store = (value: string): string => type === "f32" ? `bitcast<i32>(${value})` : value;
  const load = (place: string): string => type === "f32" ? `bitcast<f32>(${place})` : place;
  return `  ${sums.map((sum) => `var ${sum}: ${phase.accumulatorType};`).join(" ")}
  ${flush ? results.map((result) => `var ${result}: ${type};`).join(" ") : ""}
  {
    let units = ${phase.units};
    let weight_column = min(own_column, uniforms.columns - 1u);
    for (var unit = lane; unit < units; unit += ${LANES}u) {
      ${[...fetchRight, ...expandRight].join("\n      ")}
      ${rows.join("\n      ")}
      ${flushes.join("\n      ")}
    }
    ${p > 0 ? "workgroupBarrier();" : ""}
    ${results.map((sum, m) => `partial[${m * THREADS}u + local] = ${store(sum)};`).join("\n    ")}
    workgroupBarrier();
    for (var stride = ${LANES / 2}u; stride > 0u; stride >>= 1u) {
      if (lane < stride) {
        for (var m = 0u; m < ${block}u; m++) {
          let here = m * ${THREADS}u + local;
          partial[here] = ${store(`${load("partial[here]")} + ${load("partial[here + stride]")}`)};
        }
      }
      workgroupBarrier();
    }
  }
  let place_${p} = min(local / ${COLUMNS}u, ${block - 1}u) * ${THREADS}u + (local % ${COLUMNS}u) * ${LANES}u;
  let sum_${p} = ${load(`partial[place_${p}]`)};`;
}
