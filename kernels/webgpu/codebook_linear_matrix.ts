// Weight-only products of any 4-bit format on float16 subgroup matrices, for specs that allow rounding to float16: a first
// pass rounds x, the second turns codes into float16 weights on their way into workgroup memory, through the table and the
// scale of their group.
import { type CodebookLinearSpec, float16RowBytes, packedRowBytes } from "../specs.ts";
import { drainSums, resultType, storeResults } from "./_matrix_epilogue.ts";
import { wholeRows } from "./_matrix_operands.ts";
import { type MatrixOperand, matrixPhase } from "./_matrix_phase.ts";
import { matrixSuits, type NamedMatrixShape, TALL_MATRIX_SHAPES } from "./_matrix_shapes.ts";
import {
  declareSums,
  matrixEnables,
  matrixFits,
  matrixPrologue,
  type MatrixShape,
  matrixTile,
  tiling,
} from "./_matrix_tile.ts";
import { FLOAT8_FUNCTIONS, floatStorage } from "./_operands.ts";
import { roundingPass } from "./_round_pass.ts";
import {
  type ComputePass,
  definePass,
  input,
  type KernelVariant,
  linearWorkgroups,
  output,
  scratch,
} from "./program.ts";

/** Codes of a row in one block: 64 bytes of float16. */
const BLOCK = 32;

/** Rows of codes: a quarter of a block is a word of eight, four of which go to each of two slabs. */
function tableRows(spec: CodebookLinearSpec, rows: string | undefined): MatrixOperand {
  const scales = floatStorage(spec.scaleType);
  const group = (row: string, block: string): string =>
    `${row} * uniforms.groups + min(${block} * ${BLOCK}u / ${spec.groupSize}u, uniforms.groups - 1u)`;
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

function productPass(spec: CodebookLinearSpec, shape: MatrixShape): ComputePass {
  const { rows, columns, inner, bias, zeroPoint, scaleType, groupSize } = spec;
  const tile = matrixTile(shape);
  const tiles = tiling(shape, rows, columns);
  const phase = {
    component: "f16" as const,
    left: wholeRows({ buffer: "left", rowBytes: float16RowBytes(inner), rows: tiles.leftRows }),
    right: tableRows(spec, tiles.rightRows),
    blocks: Math.ceil(inner / BLOCK),
  };
  const epilogue = {
    from: "f32" as const,
    perColumns: bias ? "let bias_here = bias[min(column, uniforms.columns - 1u) / 4u];" : "",
    result: bias ? "sums_here + bias_here" : "sums_here",
  };
  return definePass({
    enables: matrixEnables(["f16"]),
    bindings: [
      scratch(0, "left", "array<vec4<u32>>", "read"),
      input(1, "right", "array<u32>"),
      input(2, "table", "array<f32>"),
      input(3, "scales", floatStorage(scaleType).binding),
      ...(zeroPoint ? [input(4, "zeros", "array<f32>")] : []),
      ...(bias ? [input(zeroPoint ? 5 : 4, "bias", "array<vec4<f32>>")] : []),
      output(0, "y", resultType(columns, "f32")),
    ],
    uniforms: { rows, columns, groups: Math.ceil(inner / groupSize) },
    workgroups: linearWorkgroups(Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns)),
    body: `
var<workgroup> levels: array<f32, 16>;
${scaleType.startsWith("float8") ? FLOAT8_FUNCTIONS : ""}
${matrixPrologue(shape, tiles)}
  if (local < 16u) { levels[local] = table[local]; }
  workgroupBarrier();
${declareSums(shape, "sum", "f32")}
${matrixPhase(shape, phase, "sum")}
${drainSums(shape, "sum", epilogue, (results) => storeResults(columns, results))}
}`,
  });
}

/** The variant of one tile shape. */
export function codebookLinearMatrix([name, shape]: NamedMatrixShape): KernelVariant<CodebookLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) =>
      spec.bits === 4 && spec.allowFloat16 === true && spec.inner % 8 === 0 && spec.inner > 0 &&
      (spec.groupSize % BLOCK === 0 || spec.groupSize >= spec.inner) &&
      matrixFits(shape, ["f16"], capabilities),
    suits: ({ rows, columns }) => matrixSuits(shape, rows, columns),
    generate: (spec) => ({
      passes: [roundingPass(spec), productPass(spec, shape)],
      scratch: [spec.rows * float16RowBytes(spec.inner)],
    }),
  };
}

/** Variants of `codebook_linear` on subgroup matrices. */
export const codebookLinearMatrixVariants: readonly KernelVariant<CodebookLinearSpec>[] = TALL_MATRIX_SHAPES
  .map(
    codebookLinearMatrix,
  );
