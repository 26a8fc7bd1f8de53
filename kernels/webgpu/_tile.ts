// The tiled product that all matrix ops share: one workgroup of 16 x 16 invocations computes a tile of the result, each
// invocation a block of it in registers. Operands pass through workgroup memory as vectors of four words (four floats,
// or sixteen int8), row by row.
// The next tiles are fetched into registers while the current ones are multiplied.
import { range } from "./_range.ts";

/** Invocations along each side of a workgroup. */
const SIDE = 16;
const THREADS = SIDE * SIDE;
/**
 * Vectors from one row of a tile to the next. An odd number keeps neighboring rows in different banks.
 */
function rowStride({ depth }: TileShape): number {
  return depth + 1 + depth % 2;
}

/** One side of a product: how its rows are read, a unit of k at a time. */
export interface Operand {
  /** WGSL functions that `fetch` and `expand` call. */
  readonly declarations: string;
  /** WGSL type of a fetched unit. */
  readonly type: string;
  /** WGSL expression for unit number `unit` of row `row`: any row and unit may be asked for, and those outside the
   * matrix must give zeros or, for rows, anything finite. */
  fetch(row: string, unit: string): string;
  /** WGSL expressions for the four-word vectors that a fetched unit expands to, in the order of k. */
  readonly expand: readonly ((value: string, row: string, unit: string) => string)[];
}

/** A tile of the result. */
export interface TileShape {
  /** Rows of the tile, a multiple of 16. */
  readonly rows: number;
  /** Columns of the tile, a multiple of 16. */
  readonly columns: number;
  /** Vectors of k per step. */
  readonly depth: number;
}

/** One pass over k: a product added into the accumulators of a tile. */
export interface TilePhase {
  /** Rows of the result. */
  readonly left: Operand;
  /** Columns of the result. */
  readonly right: Operand;
  /** WGSL expression, uniform over the workgroup: number of steps of `depth` vectors. */
  readonly steps: string;
  /** Prefix of the accumulator names: block element i, j is `prefix_i_j`. */
  readonly accumulator: string;
  /** WGSL scalar type of the accumulators. */
  readonly accumulatorType: "i32" | "f32";
  /** WGSL statement that adds the product of vectors `a` and `b` to `sum`. */
  multiply(sum: string, a: string, b: string): string;
  /** Moves the sums into others of type f32 on the way, which then are the result of the phase. */
  readonly flush?: Flush;
}

/** How the sums of a phase are moved into float sums and start again, as group-wise scales need. */
export interface Flush {
  /** Prefix of the names of the float sums. */
  readonly into: string;
  /** WGSL condition, given the step just done and the number of steps. */
  due(step: string, steps: string): string;
  /** WGSL expression of what a sum adds to the float sum of its row and column. */
  value(sum: string, at: { readonly row: string; readonly column: string; readonly step: string }): string;
}

/** Name prefix and type of what a phase leaves. */
export function resultOf(
  { accumulator, accumulatorType, flush }: Pick<TilePhase, "accumulator" | "accumulatorType" | "flush">,
): { prefix: string; type: "i32" | "f32" } {
  return flush ? { prefix: flush.into, type: "f32" } : { prefix: accumulator, type: accumulatorType };
}

/** Multiplies vectors of sixteen int8. */
export function multiplyInt8(sum: string, a: string, b: string): string {
  const dot = (lane: string): string => `dot4I8Packed(${a}.${lane}, ${b}.${lane})`;
  return `${sum} = ${dot("w")} + (${dot("z")} + (${dot("y")} + (${dot("x")} + ${sum})));`;
}

/** Multiplies vectors of four floats. */
export function multiplyFloat(sum: string, a: string, b: string): string {
  const fma = (lane: string, rest: string): string => `fma(${a}.${lane}, ${b}.${lane}, ${rest})`;
  return `${sum} = ${fma("w", fma("z", fma("y", fma("x", sum))))};`;
}

/** Bytes of workgroup memory that a tiled shader of this shape takes. */
export function tileBytes(shape: TileShape): number {
  return (shape.rows + shape.columns) * rowStride(shape) * 16;
}

/** Workgroups along x and y that cover a result. */
export function tileWorkgroups(shape: TileShape, rows: number, columns: number): [number, number, number] {
  return [Math.max(1, Math.ceil(columns / shape.columns)), Math.max(1, Math.ceil(rows / shape.rows)), 1];
}

/**
 * Writes a tiled shader: its workgroup memory and its entry point.
 *
 * @param shape The tile.
 * @param phases Products to accumulate, one after the other; all tiles hold vectors of `wordType`.
 * @param epilogue Statements before anything else (`row0` and `column0` are known), per row (`row` is known) and per element (`row` and `column` are known, `sum(phase)` names
 * an accumulator).
 * @returns WGSL. It reads `uniforms.rows` and `uniforms.columns`.
 */
export function tiledShader(
  shape: TileShape,
  phases: readonly TilePhase[],
  epilogue: {
    readonly wordType: "u32" | "f32";
    readonly prologue?: string;
    readonly perRow?: string;
    readonly perElement: (sum: (phase: number) => string) => string;
  },
): string {
  const blockRows = range(shape.rows / SIDE);
  const blockColumns = range(shape.columns / SIDE);
  const vector = `vec4<${epilogue.wordType}>`;
  const declarations = unique(phases.flatMap(({ left, right }) => [left.declarations, right.declarations]));
  const sums = phases.flatMap((phase) => [
    { prefix: phase.accumulator, type: phase.accumulatorType },
    ...(phase.flush ? [resultOf(phase)] : []),
  ]);
  const accumulators = sums.flatMap(({ prefix, type }) =>
    blockRows.map((i) => blockColumns.map((j) => `var ${prefix}_${i}_${j}: ${type};`).join(" "))
  );
  const rows = blockRows.map((i) => `
  {
    let row = row0 + y_local + ${i * SIDE}u;
    if (row < uniforms.rows) {
      ${epilogue.perRow ?? ""}
${
    blockColumns.map((j) =>
      `      {
        let column = column0 + x_local + ${j * SIDE}u;
        if (column < uniforms.columns) {
          ${epilogue.perElement((phase) => `${resultOf(phases[phase]).prefix}_${i}_${j}`)}
        }
      }`
    ).join("\n")
  }
    }
  }`);
  return `
var<workgroup> left_tile: array<array<${vector}, ${rowStride(shape)}>, ${shape.rows}>;
var<workgroup> right_tile: array<array<${vector}, ${rowStride(shape)}>, ${shape.columns}>;

${declarations.join("\n")}

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let row0 = workgroup.y * ${shape.rows}u;
  let column0 = workgroup.x * ${shape.columns}u;
  let x_local = local % ${SIDE}u;
  let y_local = local / ${SIDE}u;
  ${epilogue.prologue ?? ""}
  ${accumulators.join("\n  ")}
${phases.map((phase) => phaseLoop(shape, phase)).join("\n")}
${rows.join("")}
}`;
}

function phaseLoop(shape: TileShape, phase: TilePhase): string {
  const left = staging(shape, phase.left, "left", shape.rows);
  const right = staging(shape, phase.right, "right", shape.columns);
  return `  {
    ${left.declare}
    ${right.declare}
    ${left.fetch("0u")}
    ${right.fetch("0u")}
    let steps = ${phase.steps};
    for (var step = 0u; step < steps; step++) {
      ${left.store}
      ${right.store}
      workgroupBarrier();
      // Without a condition: behind one, the reads were seen to be waited for at once.
      let next = min(step + 1u, steps - 1u);
      ${left.fetch("next")}
      ${right.fetch("next")}
      ${range(shape.depth).map((v) => multiplyVectors(shape, phase, v)).join("\n      ")}
      workgroupBarrier();
      ${phase.flush ? flushBlock(shape, phase, phase.flush) : ""}
    }
  }`;
}

/** Vector `v` of every row of the block times that of every column. Unrolled: the constant index costs no check of bounds. */
function multiplyVectors(shape: TileShape, phase: TilePhase, v: number): string {
  const blockRows = range(shape.rows / SIDE);
  const row = (i: number): string => `let a_${i} = left_tile[y_local + ${i * SIDE}u][${v}];`;
  const column = (j: number): string =>
    `{
          let b = right_tile[x_local + ${j * SIDE}u][${v}];
          ${
      blockRows.map((i) => phase.multiply(`${phase.accumulator}_${i}_${j}`, `a_${i}`, "b")).join(
        "\n          ",
      )
    }
        }`;
  return `{
        ${blockRows.map(row).join("\n        ")}
        ${range(shape.columns / SIDE).map(column).join("\n        ")}
      }`;
}

function flushBlock(shape: TileShape, { accumulator }: TilePhase, flush: Flush): string {
  const blocks = range(shape.rows / SIDE).flatMap((i) =>
    range(shape.columns / SIDE).map((j) => {
      const sum = `${accumulator}_${i}_${j}`;
      const row = `min(row0 + y_local + ${i * SIDE}u, uniforms.rows - 1u)`;
      const column = `min(column0 + x_local + ${j * SIDE}u, uniforms.columns - 1u)`;
      return `${flush.into}_${i}_${j} += ${flush.value(sum, { row, column, step: "step" })}; ${sum} = 0;`;
    })
  );
  return `if (${flush.due("step", "steps")}) {
        ${blocks.join("\n        ")}
      }`;
}

/** Statements that move one operand from storage through registers into its tile. */
function staging(
  shape: TileShape,
  operand: Operand,
  side: "left" | "right",
  lines: number,
): { declare: string; fetch: (step: string) => string; store: string } {
  const units = shape.depth / operand.expand.length;
  const items = range(Math.ceil(lines * units / THREADS));
  const origin = side === "left" ? "row0" : "column0";
  const place = (i: number): { line: string; unit: string } => {
    const index = `(local + ${i * THREADS}u)`;
    return { line: `(${index} / ${units}u)`, unit: `(${index} % ${units}u)` };
  };
  const guard = (i: number, statement: string): string =>
    (i + 1) * THREADS <= lines * units
      ? statement
      : `if (local + ${i * THREADS}u < ${lines * units}u) { ${statement} }`;
  return {
    declare: items.map((i) => `var ${side}_${i}: ${operand.type}; var ${side}_unit_${i} = 0u;`).join(" "),
    fetch: (step) =>
      items.map((i) => {
        const { line, unit } = place(i);
        return `${side}_unit_${i} = ${step} * ${units}u + ${unit}; ${side}_${i} = ${
          operand.fetch(`(${origin} + ${line})`, `${side}_unit_${i}`)
        };`;
      }).join("\n        "),
    store: items.map((i) => {
      const { line, unit } = place(i);
      const stores = operand.expand.map((expand, e) =>
        `${side}_tile[${line}][${unit} * ${operand.expand.length}u + ${e}u] = ${
          expand(`${side}_${i}`, `(${origin} + ${line})`, `${side}_unit_${i}`)
        };`
      );
      return guard(i, stores.join(" "));
    }).join("\n      "),
  };
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)].filter((text) => text !== "");
}
