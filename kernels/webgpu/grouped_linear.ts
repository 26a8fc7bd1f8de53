// Integer products with scales per group on both sides: sums stay integers within a group, and are scaled into float
// sums at its end.
import type { GroupedLinearSpec } from "../quantization_specs.ts";
import {
  exactSum,
  integerUniforms,
  integerUnitVectors,
  rowIntegerPhase,
  tiledIntegerPhase,
} from "./_integer_phase.ts";
import { FEW_ROWS, rowBlock, rowShader, rowWorkgroups } from "./_rows.ts";
import { type Flush, tiledShader, type TileShape, tileWorkgroups } from "./_tile.ts";
import { TILE_SHAPES, tileFits, tileSuits } from "./_tile_variants.ts";
import { type Binding, definePass, input, type KernelVariant, output } from "./program.ts";

/** Codes in a vector. */
const VECTOR = 16;

function bindingsOf({ bias }: GroupedLinearSpec): Binding[] {
  return [
    input(0, "left", "array<vec4<u32>>"),
    input(1, "scales", "array<f32>"),
    input(2, "right", "array<vec4<u32>>"),
    input(3, "weight_scales", "array<f32>"),
    ...(bias ? [input(4, "bias", "array<f32>")] : []),
    output(0, "y", "array<f32>"),
  ];
}

/** Scales sums at the end of each group; `uniforms.group_steps` steps make a group. */
function groupFlush(spec: GroupedLinearSpec): Flush {
  return {
    into: "total",
    due: (step, steps) => `(${step} + 1u) % uniforms.group_steps == 0u || ${step} + 1u == ${steps}`,
    value: (sum, { row, column, step }) => {
      const group = `${step} / uniforms.group_steps`;
      return `f32(${exactSum(spec, sum)}) * (scales[${row} * uniforms.groups + ${group}] * ` +
        `weight_scales[${column} * uniforms.groups + ${group}])`;
    },
  };
}

function uniformsOf(spec: GroupedLinearSpec, depth: number): Record<string, number> {
  const integers = integerUniforms(spec, depth);
  return {
    rows: spec.rows,
    columns: spec.columns,
    ...integers,
    groups: Math.ceil(spec.inner / spec.groupSize),
    group_steps: spec.groupSize >= spec.inner
      ? Math.max(1, integers.steps)
      : spec.groupSize / (VECTOR * depth),
  };
}

const result = ({ bias }: GroupedLinearSpec, sum: string): string =>
  `y[row * uniforms.columns + column] = ${sum}${bias ? " + bias[column]" : ""};`;

/** Whether steps of so many vectors end where groups end. */
function dividesGroups({ groupSize, inner }: GroupedLinearSpec, vectors: number): boolean {
  return groupSize >= inner || groupSize % (VECTOR * vectors) === 0;
}

function tiled(name: string, { rows, columns }: TileShape): KernelVariant<GroupedLinearSpec> {
  const shapeOf = (spec: GroupedLinearSpec): TileShape => ({
    rows,
    columns,
    depth: dividesGroups(spec, 4) ? 4 : 2,
  });
  return {
    name,
    supports: (spec, capabilities) => dividesGroups(spec, 2) && tileFits(shapeOf(spec), capabilities),
    suits: (spec) => spec.rows > FEW_ROWS && tileSuits(shapeOf(spec), spec.rows, spec.columns),
    generate: (spec) => {
      const shape = shapeOf(spec);
      return {
        passes: [definePass({
          bindings: bindingsOf(spec),
          uniforms: uniformsOf(spec, shape.depth),
          workgroups: tileWorkgroups(shape, spec.rows, spec.columns),
          body: tiledShader(shape, [{ ...tiledIntegerPhase(spec), flush: groupFlush(spec) }], {
            wordType: "u32",
            perElement: (sum) => result(spec, sum(0)),
          }),
        })],
      };
    },
  };
}

const fewRows: KernelVariant<GroupedLinearSpec> = {
  name: "few_rows",
  supports: (spec) => spec.rows <= FEW_ROWS && dividesGroups(spec, integerUnitVectors(spec)),
  generate: (spec) => ({
    passes: [definePass({
      bindings: bindingsOf(spec),
      uniforms: uniformsOf(spec, integerUnitVectors(spec)),
      workgroups: rowWorkgroups(spec.columns),
      body: rowShader(
        rowBlock(spec.rows),
        [{ ...rowIntegerPhase(spec), flush: groupFlush(spec) }],
        (sum) => result(spec, sum(0)),
      ),
    })],
  }),
};

/** Variants of `grouped_linear`. */
export const groupedLinearVariants: readonly KernelVariant<GroupedLinearSpec>[] = [
  fewRows,
  ...TILE_SHAPES.map(([name, shape]) => tiled(name, shape)),
];
