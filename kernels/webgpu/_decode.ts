// The product for one or a few tokens, bound by reading the weight once: a subgroup of 32 computes a few columns, each
// invocation reading 16 bytes of every column at a stride of 32 units, so that a subgroup has kilobytes in flight and one
// load of x serves all its columns. Sums meet in subgroup additions.
import {
  columnNames,
  declareHeld,
  declareSums,
  type DecodePhase,
  type DecodeShape,
  heldFetches,
  heldProducts,
  heldUnits,
  reduction,
  resultSpread,
  sharedFetches,
  streamedPhase,
} from "./_decode_loops.ts";
import type { ResultOptions } from "../specs.ts";
import { constantSizes, resultEnables, resultFunctions, storeResult } from "./_result.ts";
import { subgroupEnables, type WebGpuCapabilities } from "./capabilities.ts";
import { LINEAR_WORKGROUP, linearMain, type Workgroups } from "./program.ts";
import { range } from "./_range.ts";

/** Most rows that a dispatch of these kernels takes. */
export const DECODE_ROWS = 16;

/** Rows of x that one of several dispatches takes. */
export interface RowsInTurn {
  /** Number of the first. */
  readonly first: number;
  readonly rows: number;
}

/** Divides rows evenly among as few dispatches as can take them: each reads the weight again, most of it from the cache. */
export function inTurns(rows: number): RowsInTurn[] {
  const each = Math.ceil(rows / Math.ceil(rows / DECODE_ROWS));
  return range(Math.ceil(rows / each)).map((turn) => ({
    first: turn * each,
    rows: Math.min(each, rows - turn * each),
  }));
}

/** Whether a device runs these kernels: its subgroups must be known to have 32 invocations. */
export function decodeFits({ subgroups, subgroupMinSize, subgroupMaxSize }: WebGpuCapabilities): boolean {
  return subgroups !== "none" && subgroupMinSize === 32 && subgroupMaxSize === 32;
}

/** Most rows that are taken in turns: with 64, dense float16 took 88% of what tiles do. */
const ROWS_IN_TURNS = 64;

/** Whether a device runs one of these kernels, and the kernel takes the rows. */
export function decodeTakes(
  shape: DecodeShape,
  { rows, inner }: { readonly rows: number; readonly inner: number },
  capabilities: WebGpuCapabilities,
  mostRows = ROWS_IN_TURNS,
): boolean {
  return rows > 0 && rows <= mostRows && Math.min(rows, DECODE_ROWS) * shape.columns <= 32 && inner > 0 &&
    decodeFits(capabilities) &&
    32 * shape.subgroups <= capabilities.limits.maxComputeInvocationsPerWorkgroup;
}

/** Columns of a result and what becomes of it. */
export type DecodeResult = { readonly columns: number } & ResultOptions;

/** Directives of these kernels. */
export function decodeEnables(capabilities: WebGpuCapabilities, result: ResultOptions = {}): string[] {
  return [...subgroupEnables(capabilities), ...resultEnables(result)];
}

/** Blocks of columns, and the workgroups that take them in turn: as few as need no more turns than the most would. */
function division(shape: DecodeShape, columns: number): { blocks: number; count: number; turns: number } {
  const blocks = Math.max(1, Math.ceil(columns / (shape.columns * shape.subgroups)));
  const turns = Math.ceil(blocks / Math.min(blocks, shape.workgroups ?? blocks));
  return { blocks, count: Math.ceil(blocks / turns), turns };
}

/** Size of the dispatch. */
export function decodeWorkgroups(shape: DecodeShape, columns: number): Workgroups {
  const { count } = division(shape, columns);
  const lines = Math.ceil(count / 65535);
  return [Math.ceil(count / lines), lines, 1];
}

/** What surrounds the phases. */
export interface DecodeSurroundings {
  /** Declarations at module scope. */
  readonly declarations?: string;
  /** Statements once per workgroup that read what the prologue needs, before the first reads of the weight: reads are
   * answered in their order. */
  readonly reads?: string;
  /** Statements once per workgroup; may hold barriers. */
  readonly prologue?: string;
  /** Values of a column that the result needs, as name and WGSL expression of type f32, read along with the weight. */
  readonly parameters?: readonly (readonly [name: string, value: (column: string) => string])[];
  /** Statements before the result of `row` and `column`. */
  readonly beforeResult?: string;
  /** WGSL expression of one result; `row` and `column` are known, `sum(phase)` names its sum. */
  readonly result: (sum: (phase: number) => string) => string;
}

/** The result of a kernel of one product: its sum, and the bias if there is one. */
export function sumAndBias(bias: boolean): Pick<DecodeSurroundings, "parameters" | "result"> {
  return {
    parameters: bias ? [["bias_here", (column) => `bias[${column}]`]] : [],
    result: (sum) => `${sum(0)}${bias ? " + bias_here" : ""}`,
  };
}

/** Most units of 16 bytes that an invocation holds at once: all that it reads of its columns, or else a part. */
const MOST_HELD = 20;

/** Most rows for which the next reads start before the sums of this block meet: with more, both do not fit the registers. */
const EARLY_ROWS = 2;

/**
 * Writes the shader.
 *
 * @param shape How the columns are divided.
 * @param taken Rows of x that are taken.
 * @param result Columns of the result, and what becomes of it.
 * @param products Products to sum up.
 * @param around What surrounds them.
 * @returns WGSL.
 */
export function decodeShader(
  shape: DecodeShape,
  { first, rows }: RowsInTurn,
  result: DecodeResult,
  products: readonly DecodePhase[],
  around: DecodeSurroundings,
): string {
  const { columns } = result;
  const phases = products.map((phase) => ({
    ...phase,
    loadRow: (m: number, unit: string) => phase.loadRow(first + m, unit),
  }));
  const block = shape.columns * shape.subgroups;
  const { blocks, turns } = division(shape, columns);
  const held = heldUnits(shape, phases) <= MOST_HELD;
  const { parameters = [] } = around;
  const ofLane = `min(index * ${block}u + own + result_of_lane % ${shape.columns}u, ${
    Math.max(columns, 1) - 1
  }u)`;
  const readParameters = parameters.length === 0
    ? ""
    : `let of_lane = ${ofLane}; ${
      parameters.map(([name, value]) => `read_${name} = ${value("of_lane")};`).join(" ")
    }`;
  const fetch = `{
    ${columnNames(shape, `index * ${block}u + own`, columns)}
    ${readParameters}
    ${held ? `${sharedFetches(shape, phases)}\n    ${heldFetches(shape, phases)}` : ""}
  }`;
  const spread = resultSpread(shape, rows);
  const finish = `{
${phases.map((phase, p) => reduction(shape, rows, phase, p)).join("\n")}
    let row = ${first === 0 ? "" : `${first}u + `}result_of_lane / ${shape.columns}u;
    let column = column0 + result_of_lane % ${shape.columns}u;
    if (lane % ${spread}u == 0u && row < ${first + rows}u && column < ${columns}u) {
      ${around.beforeResult ?? ""}
      ${storeResult(result, around.result((phase) => `mine_${phase}`), constantSizes(result))}
    }
  }`;
  const multiply = `
    let column0 = index * ${block}u + own;
    ${phases.map((phase) => declareSums(shape, rows, phase)).join("\n    ")}
    ${parameters.map(([name]) => `let ${name} = read_${name};`).join(" ")}
    {
      ${columnNames(shape, "column0", columns)}
      ${
    held
      ? heldProducts(shape, rows, phases)
      : phases.map((phase) => streamedPhase(shape, rows, phase)).join("\n")
  }
    }`;
  const turn = held && rows <= EARLY_ROWS
    ? `index += grid.x * grid.y;
    // The next reads are on their way while the sums meet.
    if (index >= ${blocks}u) {
      ${finish}
      break;
    }
    ${fetch}
    ${finish}`
    : `${finish}
    index += grid.x * grid.y;
    if (index >= ${blocks}u) { break; }
    ${fetch}`;
  // Before a loop that uses them, and so before the prologue, a compiler asks for the first reads; without one it puts them
  // off. That saves registers, which is better where nothing else is to be done meanwhile.
  const once = turns === 1 && around.prologue === undefined;
  return `
${around.declarations ?? ""}
${resultFunctions(result)}
${linearMain(32 * shape.subgroups)}
  let lane = local % 32u;
  let result_of_lane = lane / ${spread}u;
  let own = (local / 32u) * ${shape.columns}u;
  var index = ${LINEAR_WORKGROUP};
  ${parameters.map(([name]) => `var read_${name} = 0.0;`).join(" ")}
  ${around.reads ?? ""}
  ${held ? declareHeld(shape, phases) : ""}
  ${fetch}
  ${around.prologue ?? ""}
  // The first block is not asked whether it exists (if not, nothing is written): behind a condition, a compiler was seen to
  // put the first reads off until after the prologue.
  ${once ? `{${multiply}\n    ${finish}\n  }` : `loop {${multiply}\n    ${turn}\n  }`}
}`;
}
