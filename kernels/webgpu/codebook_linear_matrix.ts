// Weight-only products of any 4-bit or 8-bit format on float16 subgroup matrices, for specs that allow rounding to float16:
// codes turn into float16 weights on their way into workgroup memory, through the table and the scale of their group.
import { type CodebookLinearSpec, packedRowBytes } from "../specs.ts";
import { FLOAT16_BLOCK, float16Blocks, float16Product, type Float16Right } from "./_matrix_float16.ts";
import type { MatrixOperand } from "./_matrix_phase.ts";
import { dividedPlan, type MatrixPlan, tailPlan, wholePlan } from "./_matrix_plans.ts";
import { FEWEST_ROWS, SPLIT_MATRIX_SHAPES, TALL_MATRIX_SHAPES } from "./_matrix_shapes.ts";
import { matrixFits, matrixTile, memoryPairs } from "./_matrix_tile.ts";
import { FLOAT8_FUNCTIONS, floatStorage } from "./_operands.ts";
import { input, type KernelVariant } from "./program.ts";

/** Rows of codes: a quarter of a block is eight codes, four of which go to each of two slabs. */
function tableRows(spec: CodebookLinearSpec, rows: string | undefined): MatrixOperand {
  const { bits } = spec;
  const scales = floatStorage(spec.scaleType);
  const group = (row: string, block: string): string =>
    `${row} * uniforms.groups + min(${block} * ${FLOAT16_BLOCK}u / ${spec.groupSize}u, uniforms.groups - 1u)`;
  return {
    buffer: "right",
    load: bits === 8 ? "vec2<u32>" : "u32",
    // Eight codes take as many bytes as one has bits.
    stride: packedRowBytes(spec.inner, bits) / bits,
    rows,
    slabs: 2,
    beside: [
      ["scale", (row, block) => scales.load("scales", group(row, block))],
      ...(spec.zeroPoint
        ? [["zero", (row: string, block: string) => `zeros[${group(row, block)}]`] as const]
        : []),
    ],
    pair: (loaded, slab) => {
      const word = bits === 8 ? `${loaded}.${"xy"[slab]}` : loaded;
      const first = bits === 8 ? 0 : 4 * slab;
      const level = (i: number): string => {
        const value = `levels[(${word} >> ${bits * (first + i)}u) & ${2 ** bits - 1}u]`;
        return `${spec.zeroPoint ? `(${value} - ${loaded}_zero)` : value} * ${loaded}_scale`;
      };
      const half = (i: number): string => `pack2x16float(vec2<f32>(${level(i)}, ${level(i + 1)}))`;
      return `vec2<u32>(${half(0)}, ${half(2)})`;
    },
  };
}

function tableOf(spec: CodebookLinearSpec, threads: number): Float16Right {
  const { bits, inner, groupSize, scaleType, zeroPoint } = spec;
  return {
    operand: (rows) => tableRows(spec, rows),
    bindings: [
      input(1, "right", bits === 8 ? "array<vec2<u32>>" : "array<u32>"),
      input(2, "table", "array<f32>"),
      input(3, "scales", floatStorage(scaleType).binding),
      ...(zeroPoint ? [input(4, "zeros", "array<f32>")] : []),
    ],
    uniforms: { groups: Math.ceil(inner / groupSize) },
    declarations: `
var<workgroup> levels: array<f32, ${2 ** bits}>;
${scaleType.startsWith("float8") ? FLOAT8_FUNCTIONS : ""}`,
    prologue: `
  for (var i = local; i < ${2 ** bits}u; i += ${threads}u) { levels[i] = table[i]; }
  workgroupBarrier();`,
  };
}

/** From so many tokens on, matrix units are faster than looking levels up for the decode kernel. Levels that it need not look up
 * are faster there as long as it takes all rows at once. */
const FEWEST_SPLIT_ROWS = 8;

/** The variant of one plan. */
export function codebookLinearMatrix(plan: MatrixPlan): KernelVariant<CodebookLinearSpec> {
  const { name, shape } = plan;
  return {
    name,
    supports: (spec, capabilities) =>
      (spec.bits === 4 || spec.bits === 8) && spec.allowFloat16 === true &&
      spec.inner % 8 === 0 && spec.inner > 0 &&
      (spec.groupSize % FLOAT16_BLOCK === 0 || spec.groupSize >= spec.inner) &&
      matrixFits(shape, ["f16"], capabilities, memoryPairs(shape) * 8 + 4 * 2 ** spec.bits),
    suits: (spec) =>
      (spec.rows >= FEWEST_ROWS || !spec.evenLevels) && plan.suits(spec, float16Blocks(spec.inner)),
    generate: (spec) =>
      float16Product(
        spec,
        shape,
        tableOf(spec, matrixTile(shape).threads),
        plan.portions(spec, float16Blocks(spec.inner)),
      ),
  };
}

/** Variants of `codebook_linear` on subgroup matrices. */
export const codebookLinearMatrixVariants: readonly KernelVariant<CodebookLinearSpec>[] = [
  ...SPLIT_MATRIX_SHAPES.map((shape) => dividedPlan(shape, FEWEST_SPLIT_ROWS)),
  tailPlan(TALL_MATRIX_SHAPES[0]),
  ...TALL_MATRIX_SHAPES.map(wholePlan),
].map(codebookLinearMatrix);
