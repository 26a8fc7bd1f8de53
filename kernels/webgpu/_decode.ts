// The product for one or a few tokens, bound by reading the weight once: a subgroup of 32 computes a few columns, each
// invocation reading 16 bytes of every column at a stride of 32 units, so that a subgroup has kilobytes in flight and one
// load of x serves all its columns. Sums meet in subgroup additions.
import { subgroupEnables, type WebGpuCapabilities } from "./capabilities.ts";
import type { Workgroups } from "./program.ts";

/** Most rows that these kernels take. */
export const DECODE_ROWS = 16;

/** How the columns are divided. */
export interface DecodeShape {
  /** Columns that a subgroup computes together. */
  readonly columns: number;
  /** Units of 16 bytes that an invocation reads of each column before it computes. */
  readonly unroll: number;
  /** Subgroups of a workgroup. */
  readonly subgroups: number;
  /** Most workgroups, which then take several blocks of columns in turn; for kernels that prepare x first. */
  readonly workgroups?: number;
}

/** One product over units of the weight. */
export interface DecodePhase {
  /** Binding of type `array<vec4<u32>>`. */
  readonly right: string;
  /** WGSL expression: units from one column to the next, all of which are read. */
  readonly stride: string;
  /** The value of `stride`. */
  readonly units: number;
  /** Prefix of the sums `prefix_column_row`. */
  readonly sum: string;
  /** WGSL type of the sums. */
  readonly type: "i32" | "f32";
  /** Statements that make row `m` of x ready at `unit`. */
  loadRow(m: number, unit: string): string;
  /** Statements that make a fetched unit of column `r` ready, given its name, `unit` and the column's name. */
  expand(r: number, fetched: string, unit: string, column: string): string;
  /** Statements that add the product of column `r` and row `m` to `sum`. */
  multiply(r: number, m: number, sum: string): string;
}

/** Whether a device runs these kernels: its subgroups must be known to have 32 invocations. */
export function decodeFits({ subgroups, subgroupMinSize, subgroupMaxSize }: WebGpuCapabilities): boolean {
  return subgroups !== "none" && subgroupMinSize === 32 && subgroupMaxSize === 32;
}

/** Directives of these kernels. */
export const decodeEnables = subgroupEnables;

/** Size of the dispatch. */
export function decodeWorkgroups(shape: DecodeShape, columns: number): Workgroups {
  const blocks = Math.max(1, Math.ceil(columns / (shape.columns * shape.subgroups)));
  const count = Math.min(blocks, shape.workgroups ?? blocks);
  const lines = Math.ceil(count / 65535);
  return [Math.ceil(count / lines), lines, 1];
}

/** What surrounds the phases. */
export interface DecodeSurroundings {
  /** Declarations at module scope. */
  readonly declarations?: string;
  /** Statements once per workgroup; may hold barriers. */
  readonly prologue?: string;
  /** Statements for one result; `row` and `column` are known, `sum(phase)` names its sum. */
  readonly result: (sum: (phase: number) => string) => string;
}

/**
 * Writes the shader.
 *
 * @param shape How the columns are divided.
 * @param rows Rows of x.
 * @param phases Products to sum up.
 * @param around What surrounds them.
 * @returns WGSL. It reads `uniforms.columns`.
 */
export function decodeShader(
  shape: DecodeShape,
  rows: number,
  phases: readonly DecodePhase[],
  around: DecodeSurroundings,
): string {
  const columns = range(shape.columns);
  const block = shape.columns * shape.subgroups;
  const results = columns.flatMap((r) => range(rows).map((m) => ({ r, m })));
  const mine = phases.map(({ sum, type }, p) => `
    var mine_${p} = ${type}(0);
    ${
    results.map(({ r, m }) =>
      `{ let total = subgroupAdd(${sum}_${r}_${m}); if (lane == ${
        m * shape.columns + r
      }u) { mine_${p} = total; } }`
    )
      .join("\n    ")
  }`);
  return `
${around.declarations ?? ""}
@compute @workgroup_size(${32 * shape.subgroups})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let lane = local % 32u;
  ${around.prologue ?? ""}
  let blocks = (uniforms.columns + ${block - 1}u) / ${block}u;
  for (var index = workgroup.y * grid.x + workgroup.x; index < blocks; index += grid.x * grid.y) {
    let column0 = index * ${block}u + (local / 32u) * ${shape.columns}u;
    ${columns.map((r) => `let column_${r} = min(column0 + ${r}u, uniforms.columns - 1u);`).join("\n    ")}
${phases.map((phase) => phaseLoop(shape, rows, phase)).join("\n")}
${mine.join("\n")}
    let row = lane / ${shape.columns}u;
    let column = column0 + lane % ${shape.columns}u;
    if (row < ${rows}u && column < uniforms.columns) {
      ${around.result((phase) => `mine_${phase}`)}
    }
  }
}`;
}

function phaseLoop(shape: DecodeShape, rows: number, phase: DecodePhase): string {
  const unroll = Math.max(1, Math.min(shape.unroll, Math.ceil(phase.units / 32)));
  const whole = phase.units % (32 * unroll) === 0;
  const columns = range(shape.columns);
  const at = (u: number): string => whole ? `unit_${u}` : `min(unit_${u}, ${phase.stride} - 1u)`;
  const fetch = (r: number, u: number): string => {
    const value = `${phase.right}[column_${r} * ${phase.stride} + ${at(u)}]`;
    return whole ? value : `select(vec4<u32>(0u), ${value}, unit_${u} < ${phase.stride})`;
  };
  const step = (u: number): string =>
    `{ let unit = ${at(u)};
        ${columns.map((r) => phase.expand(r, `fetched_${r}_${u}`, "unit", `column_${r}`)).join("\n        ")}
        ${
      range(rows).map((m) =>
        `{ ${phase.loadRow(m, "unit")} ${
          columns.map((r) => phase.multiply(r, m, `${phase.sum}_${r}_${m}`)).join("\n          ")
        } }`
      ).join("\n        ")
    } }`;
  return `    ${
    columns.flatMap((r) => range(rows).map((m) => `var ${phase.sum}_${r}_${m} = ${phase.type}(0);`)).join(" ")
  }
    for (var start = lane; start < ${phase.stride}; start += ${32 * unroll}u) {
      ${range(unroll).map((u) => `let unit_${u} = start + ${32 * u}u;`).join(" ")}
      ${
    range(unroll).flatMap((u) => columns.map((r) => `let fetched_${r}_${u} = ${fetch(r, u)};`)).join(
      "\n      ",
    )
  }
      ${range(unroll).map(step).join("\n      ")}
    }`;
}

/** Numbers 0 to count - 1. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
