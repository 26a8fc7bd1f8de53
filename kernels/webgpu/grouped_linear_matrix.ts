// Integer products with scales per group on both sides, on subgroup matrices: exact sums of a group, scaled into float sums at
// its end.
import type { GroupedLinearSpec } from "../quantization_specs.ts";
import {
  matrixResultBinding,
  matrixResultFunctions,
  storeResults,
  storesMatrixResult,
} from "./_matrix_epilogue.ts";
import {
  addGroup,
  declareTotals,
  eachTotal,
  groupedSumBytes,
  groupedSumMemory,
  type GroupedSums,
} from "./_matrix_groups.ts";
import { integerMatrixPhase } from "./_matrix_integer.ts";
import { matrixPhase } from "./_matrix_phase.ts";
import { matrixSuits, type NamedMatrixShape } from "./_matrix_shapes.ts";
import {
  declareSums,
  matrixEnables,
  matrixFits,
  matrixPrologue,
  type MatrixShape,
  matrixTile,
  operandPairs,
  tiling,
} from "./_matrix_tile.ts";
import { codeShift } from "./_operands.ts";
import { definePass, input, type KernelVariant, linearWorkgroups } from "./program.ts";

/** From so many tokens on, matrix units are taken: an estimate from 17 and 32, where the decode kernel, which takes sixteen at a
 * time, was faster by half and a fifth. */
const FEWEST_ROWS = 40;

/** Codes of a block: as many as can be, but no more than a group has. */
function blockCodes({ activationBits, weightBits, groupSize, inner }: GroupedLinearSpec): number {
  const longest = activationBits === 4 && weightBits === 4 ? 128 : 64;
  return groupSize >= inner || groupSize % longest === 0 ? longest : 64;
}

function sumsOf(spec: GroupedLinearSpec, shape: MatrixShape): GroupedSums {
  const { inner, groupSize, activationBits, weightBits } = spec;
  const blocks = Math.ceil(inner / blockCodes(spec));
  return {
    shape,
    blocks,
    groupBlocks: groupSize >= inner ? blocks : groupSize / blockCodes(spec),
    groups: Math.ceil(inner / groupSize),
    shift: codeShift(activationBits, weightBits),
  };
}

function body(spec: GroupedLinearSpec, sums: GroupedSums): string {
  const { shape } = sums;
  const { declarations, phase } = integerMatrixPhase(spec, shape, blockCodes(spec) === 64);
  const result = (total: string): string =>
    storeResults(
      spec,
      spec.bias ? `(${total} + bias[min(column, uniforms.columns - 1u) / 4u])` : total,
    );
  return `${declarations}
${matrixResultFunctions(spec)}
${groupedSumMemory(sums)}
${matrixPrologue(shape, tiling(shape, spec.rows, spec.columns), { pairs: operandPairs(shape) })}
${declareSums(shape, "acc", "i32")}
${declareTotals(sums)}
${matrixPhase(shape, { ...phase, afterBlock: (block) => addGroup(sums, block) }, "acc")}
  ${eachTotal(sums, result)}
}`;
}

/** The variant of one tile shape. */
export function groupedLinearMatrix(
  [name, shape]: NamedMatrixShape,
): KernelVariant<GroupedLinearSpec> {
  const tile = matrixTile(shape);
  const bytes = operandPairs(shape) * 8 + groupedSumBytes(shape);
  return {
    name,
    supports: (spec, capabilities) =>
      (spec.groupSize >= spec.inner || spec.groupSize % 64 === 0) && spec.inner > 0 &&
      storesMatrixResult(spec) && matrixFits(shape, ["i8"], capabilities, bytes),
    suits: ({ rows, columns }) => rows >= FEWEST_ROWS && matrixSuits(shape, rows, columns),
    generate: (spec) => {
      const { phase } = integerMatrixPhase(spec, shape, blockCodes(spec) === 64);
      return {
        passes: [definePass({
          enables: matrixEnables(["i8"]),
          bindings: [
            input(0, "left", `array<${phase.left.load}>`),
            input(1, "scales", "array<f32>"),
            input(2, "right", `array<${phase.right.load}>`),
            input(3, "weight_scales", "array<f32>"),
            ...(spec.bias ? [input(4, "bias", "array<vec4<f32>>")] : []),
            matrixResultBinding(spec, "f32"),
          ],
          uniforms: { rows: spec.rows, columns: spec.columns },
          workgroups: linearWorkgroups(
            Math.ceil(spec.rows / tile.rows) * Math.ceil(spec.columns / tile.columns),
          ),
          body: body(spec, sumsOf(spec, shape)),
        })],
      };
    },
  };
}

const AHEAD = { ahead: true, inFlight: 1, ordered: false } as const;

/** Variants of `grouped_linear` on subgroup matrices; half the sums of other products, since float sums lie beside them. */
export const groupedLinearMatrixVariants: readonly KernelVariant<GroupedLinearSpec>[] = ([
  ["matrix_128x128", { matrices: [4, 2], subgroups: [2, 4], ...AHEAD }],
  ["matrix_64x64", { matrices: [2, 2], subgroups: [2, 2], ...AHEAD }],
] as const).map(groupedLinearMatrix);
