// One pass over k on subgroup matrices: blocks of rows are read into registers, written to workgroup memory slab by slab, and
// multiplied from there.
import { accumulators, type MatrixShape, matrixTile, ROW } from "./_matrix_tile.ts";
import { range } from "./_range.ts";

/** One side of a product. Four invocations share a row of the tile; each loads a quarter of its part of a block. */
export interface MatrixOperand {
  /** Binding of an array of `load`. */
  readonly buffer: string;
  /** WGSL type of a quarter. */
  readonly load: "vec4<u32>" | "vec2<u32>" | "u32";
  /** Quarters from one row to the next. A constant of the shader: a variable would cost a register per load. */
  readonly stride: number;
  /** WGSL expression for the number of rows where a tile may reach beyond them, otherwise undefined. */
  readonly rows?: string;
  /** Slabs that a block becomes: the same on both sides. */
  readonly slabs: number;
  /** Values read along with a quarter, as suffix of a name and WGSL expression of type f32, given its row and the block. */
  readonly beside?: readonly (readonly [suffix: string, value: (row: string, block: string) => string])[];
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
  /** Blocks of a part where a workgroup multiplies only its `part` of them. */
  readonly partBlocks?: number;
  /** Statements after a block was multiplied, given its number. They may hold barriers, and must leave the tile alone. */
  readonly afterBlock?: (block: string) => string;
}

/** The row that an invocation fills: in this order, the four rows that are written together lie in different banks. */
const LINE = "(local / 32u) * 8u + ((local / 4u) % 4u) * 2u + (local / 16u) % 2u";

/** Adds a product into the accumulators `prefix_i_j`. */
export function matrixPhase(shape: MatrixShape, phase: MatrixPhase, prefix: string): string {
  const { ahead } = shape;
  const { slabs } = phase.left;
  const sets = shape.inFlight;
  const sides = [staging(shape, phase, "left"), staging(shape, phase, "right")];
  const each = (f: (side: Staging) => string): string => sides.map(f).join("\n      ");
  // Slabs are written one step before they are read, and where they are read a step ahead, two before they are multiplied.
  const lead = ahead ? 2 : 1;
  // A register is read again as soon as it is stored.
  const store = (from: string, number: number): string => {
    const slab = number % slabs;
    const block = Math.floor(number / slabs);
    const set = block % sets;
    const write = each((side) => side.store(set, slab, number % 2));
    if (slab < slabs - 1) return write;
    return `${write}\n      ${
      each((side) => side.fetch(set, `min(${from} + ${block + sets}u, blocks - 1u)`))
    }`;
  };
  const step = (number: number): string => {
    const write = store("block", number + lead);
    const product = multiply(shape, prefix, number % 2);
    return `{
        ${loadMatrices(shape, phase, (number + lead - 1) % 2)}
        ${ahead ? `${write}\n        ${product}` : `${product}\n        ${write}`}
        workgroupBarrier();
      }`;
  };
  const even = phase.blocks % sets === 0 && (phase.partBlocks ?? 0) % sets === 0;
  const block = (set: number): string =>
    [
      ...(set === 0 || even ? [] : [`if (block + ${set}u >= blocks) { break; }`]),
      ...range(slabs).map((slab) => step(set * slabs + slab)),
      ...(phase.afterBlock ? [phase.afterBlock(`(block + ${set}u)`)] : []),
    ].join("\n      ");
  return `
  {
    ${
    phase.partBlocks === undefined
      ? `let first = 0u; let blocks = ${phase.blocks}u;`
      : `let first = part * ${phase.partBlocks}u; let blocks = min(first + ${phase.partBlocks}u, ${phase.blocks}u);`
  }
    ${each((side) => side.declare)}
    ${declareMatrices(shape, phase)}
    ${
    range(sets).map((set) => each((side) => side.fetch(set, `min(first + ${set}u, blocks - 1u)`))).join(
      "\n    ",
    )
  }
    ${range(lead).map((number) => store("first", number)).join("\n    ")}
    workgroupBarrier();
    ${ahead ? `${loadMatrices(shape, phase, 0)}\n    workgroupBarrier();` : ""}
    for (var block = first; block < blocks; block += ${sets}u) {
      ${range(sets).map(block).join("\n      ")}
    }
  }`;
}

function matrixTypes({ component }: MatrixPhase): { left: string; right: string } {
  const depth = component === "i8" ? 32 : 16;
  return {
    left: `subgroup_matrix_left<${component}, ${depth}, 16>`,
    right: `subgroup_matrix_right<${component}, 16, ${depth}>`,
  };
}

function declareMatrices(shape: MatrixShape, phase: MatrixPhase): string {
  const { left, right } = matrixTypes(phase);
  return [0, 1].flatMap((set) => [
    ...range(shape.matrices[0]).map((i) => `var a${set}_${i}: ${left};`),
    ...range(shape.matrices[1]).map((j) => `var b${set}_${j}: ${right};`),
  ]).join(" ");
}

function loadMatrices(shape: MatrixShape, phase: MatrixPhase, set: number): string {
  const { left, right } = matrixTypes(phase);
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

const declare = (name: string, { load, beside = [] }: MatrixOperand): string =>
  `var ${name}: ${load};${beside.map(([suffix]) => ` var ${name}_${suffix}: f32;`).join("")}`;

function staging(shape: MatrixShape, phase: MatrixPhase, side: "left" | "right"): Staging {
  const operand = phase[side];
  const { rows, columns, threads } = matrixTile(shape);
  const sets = shape.inFlight;
  const lines = side === "left" ? rows : columns;
  const perPass = threads / 4;
  const passes = range(lines / perPass);
  const start = side === "left" ? "row0" : "column0";
  const name = (set: number, i: number): string => `${side}_${set}_${i}`;
  const rowOf = (i: number): string => {
    const line = `${start} + line + ${i * perPass}u`;
    return operand.rows === undefined ? `(${line})` : `min(${line}, ${operand.rows} - 1u)`;
  };
  const { beside = [] } = operand;
  const readBeside = (set: number, i: number, block: string): string =>
    beside.map(([suffix, value]) => `${name(set, i)}_${suffix} = ${value(rowOf(i), block)};`).join(" ");
  const fetch = (set: number, block: string): string =>
    passes.map((i) => readBeside(set, i, block)).join(" ") +
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
      ...passes.map((i) => `let ${side}_at_${i} = ${rowOf(i)} * ${operand.stride}u + quarter;`),
      range(sets).flatMap((set) => passes.map((i) => declare(name(set, i), operand))).join(" "),
    ].join("\n    "),
    fetch,
    store: (set, slab, stage) =>
      passes.map((i) =>
        `tile[${side}_to + ${i * perPass * ROW + 4 * stage}u] = ${operand.pair(name(set, i), slab)};`
      ).join(" "),
  };
}
