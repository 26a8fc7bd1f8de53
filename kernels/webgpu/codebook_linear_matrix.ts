// Weight-only products of any 4-bit format on float16 subgroup matrices, for specs that allow rounding to float16: codes
// turn into float16 weights on their way into workgroup memory, through the table and the scale of their group.
import { type CodebookLinearSpec, packedRowBytes } from "../specs.ts";
import { FLOAT16_BLOCK, float16Product, type Float16Right } from "./_matrix_float16.ts";
import type { MatrixOperand } from "./_matrix_phase.ts";
import { matrixSuits, type NamedMatrixShape, TALL_MATRIX_SHAPES } from "./_matrix_shapes.ts";
import { matrixFits } from "./_matrix_tile.ts";
import { FLOAT8_FUNCTIONS, floatStorage } from "./_operands.ts";
import { input, type KernelVariant } from "./program.ts";

/** Rows of codes: a quarter of a block is a word of eight, four of which go to each of two slabs. */
function tableRows(spec: CodebookLinearSpec, rows: string | undefined): MatrixOperand {
  const scales = floatStorage(spec.scaleType);
  const group = (row: string, block: string): string =>
    `${row} * uniforms.groups + min(${block} * ${FLOAT16_BLOCK}u / ${spec.groupSize}u, uniforms.groups - 1u)`;
  return {
    buffer: "right",
    load: "u32",
    stride: packedRowBytes(spec.inner, 4) / 4,
    rows,
    slabs: 2,
    beside: [
      ["scale", (row, block) => scales.load("scales", group(row, block))],
      ...(spec.zeroPoint
        ? [["zero", (row: string, block: string) => `zeros[${group(row, block)}]`] as const]
        : []),
    ],
    pair: (loaded, slab) => {
      const level = (i: number): string => {
        const value = `levels[(${loaded} >> ${16 * slab + 4 * i}u) & 15u]`;
        return `${spec.zeroPoint ? `(${value} - ${loaded}_zero)` : value} * ${loaded}_scale`;
      };
      const half = (i: number): string => `pack2x16float(vec2<f32>(${level(i)}, ${level(i + 1)}))`;
      return `vec2<u32>(${half(0)}, ${half(2)})`;
    },
  };
}

function tableOf(spec: CodebookLinearSpec): Float16Right {
  const { inner, groupSize, scaleType, zeroPoint } = spec;
  return {
    operand: (rows) => tableRows(spec, rows),
    bindings: [
      input(1, "right", "array<u32>"),
      input(2, "table", "array<f32>"),
      input(3, "scales", floatStorage(scaleType).binding),
      ...(zeroPoint ? [input(4, "zeros", "array<f32>")] : []),
    ],
    uniforms: { groups: Math.ceil(inner / groupSize) },
    declarations: `
var<workgroup> levels: array<f32, 16>;
${scaleType.startsWith("float8") ? FLOAT8_FUNCTIONS : ""}`,
    prologue: `
  if (local < 16u) { levels[local] = table[local]; }
  workgroupBarrier();`,
  };
}

/** The variant of one tile shape. */
function codebookLinearMatrix([name, shape]: NamedMatrixShape): KernelVariant<CodebookLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) =>
      spec.bits === 4 && spec.allowFloat16 === true && spec.inner % 8 === 0 && spec.inner > 0 &&
      (spec.groupSize % FLOAT16_BLOCK === 0 || spec.groupSize >= spec.inner) &&
      matrixFits(shape, ["f16"], capabilities),
    suits: ({ rows, columns }) => matrixSuits(shape, rows, columns),
    generate: (spec) => float16Product(spec, shape, tableOf(spec)),
  };
}

/** Variants of `codebook_linear` on subgroup matrices. */
export const codebookLinearMatrixVariants: readonly KernelVariant<CodebookLinearSpec>[] = TALL_MATRIX_SHAPES
  .map(
    codebookLinearMatrix,
  );
