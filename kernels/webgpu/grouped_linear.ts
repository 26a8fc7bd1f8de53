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
import { finishPass } from "./_finish_pass.ts";
import {
  resultBinding,
  resultEnables,
  resultFunctions,
  resultUniforms,
  storeResult,
  storesResult,
} from "./_result.ts";
import type { WebGpuCapabilities } from "./capabilities.ts";
import {
  type Binding,
  type ComputePass,
  definePass,
  input,
  type KernelProgram,
  type KernelVariant,
  scratch,
} from "./program.ts";

/** Codes in a vector. */
const VECTOR = 16;

function bindingsOf({ bias }: GroupedLinearSpec, y: Binding): Binding[] {
  return [
    input(0, "left", "array<vec4<u32>>"),
    input(1, "scales", "array<f32>"),
    input(2, "right", "array<vec4<u32>>"),
    input(3, "weight_scales", "array<f32>"),
    ...(bias ? [input(4, "bias", "array<f32>")] : []),
    y,
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
    ...resultUniforms(spec),
  };
}

const result = (spec: GroupedLinearSpec, sum: string): string =>
  storeResult(spec, `${sum}${spec.bias ? " + bias[column]" : ""}`);

/** The fused pass, or, on a device that cannot store float16, one that leaves sums and one that finishes them. */
function finished(
  spec: GroupedLinearSpec,
  capabilities: WebGpuCapabilities,
  fused: (spec: GroupedLinearSpec, y: Binding) => ComputePass,
): KernelProgram {
  if (storesResult(spec, capabilities)) return { passes: [fused(spec, resultBinding(spec))] };
  const sums: GroupedLinearSpec = { ...spec, activation: undefined, resultType: undefined };
  return {
    passes: [
      fused(sums, scratch(0, "y", "array<f32>", "write")),
      finishPass({ ...spec, biasInput: undefined }),
    ],
    scratch: [spec.rows * spec.columns * 4],
  };
}

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
    generate: (whole, capabilities) => {
      const shape = shapeOf(whole);
      return finished(whole, capabilities, (spec, y) =>
        definePass({
          enables: resultEnables(spec),
          bindings: bindingsOf(spec, y),
          uniforms: uniformsOf(spec, shape.depth),
          workgroups: tileWorkgroups(shape, spec.rows, spec.columns),
          body: resultFunctions(spec) +
            tiledShader(shape, [{ ...tiledIntegerPhase(spec), flush: groupFlush(spec) }], {
              wordType: "u32",
              perElement: (sum) => result(spec, sum(0)),
            }),
        }));
    },
  };
}

const fewRows: KernelVariant<GroupedLinearSpec> = {
  name: "few_rows",
  supports: (spec) => spec.rows <= FEW_ROWS && dividesGroups(spec, integerUnitVectors(spec)),
  generate: (whole, capabilities) =>
    finished(whole, capabilities, (spec, y) =>
      definePass({
        enables: resultEnables(spec),
        bindings: bindingsOf(spec, y),
        uniforms: uniformsOf(spec, integerUnitVectors(spec)),
        workgroups: rowWorkgroups(spec.columns),
        body: resultFunctions(spec) + rowShader(
          rowBlock(spec.rows),
          [{ ...rowIntegerPhase(spec), flush: groupFlush(spec) }],
          (sum) => result(spec, sum(0)),
        ),
      })),
};

/** Variants of `grouped_linear`. */
export const groupedLinearVariants: readonly KernelVariant<GroupedLinearSpec>[] = [
  fewRows,
  ...TILE_SHAPES.map(([name, shape]) => tiled(name, shape)),
];
