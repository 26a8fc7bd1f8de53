// Products of float activations with float32, float16 or bfloat16 weights, accumulated in float32.
import type { DenseLinearSpec } from "../specs.ts";
import { floatRowsOperand } from "./_operands.ts";
import { FEW_ROWS, rowBlock, type RowPhase, rowShader, rowWorkgroups, unitVectors } from "./_rows.ts";
import { multiplyFloat, tiledShader, type TilePhase, type TileShape, tileWorkgroups } from "./_tile.ts";
import { TILE_SHAPES, tileFits, tileSuits } from "./_tile_variants.ts";
import { type Binding, definePass, input, type KernelVariant, output } from "./program.ts";

function productOf(spec: DenseLinearSpec): { bindings: Binding[]; phase: Omit<TilePhase, "steps"> } {
  const left = floatRowsOperand({ buffer: "left", rows: "uniforms.rows" }, "float32", spec.inner);
  const right = floatRowsOperand({ buffer: "right", rows: "uniforms.columns" }, spec.weightType, spec.inner);
  return {
    bindings: [
      input(0, "left", left.binding),
      input(1, "right", right.binding),
      ...(spec.bias ? [input(2, "bias", "array<f32>")] : []),
      output(0, "y", "array<f32>"),
    ],
    phase: {
      left: left.operand,
      right: right.operand,
      accumulator: "acc",
      accumulatorType: "f32",
      multiply: multiplyFloat,
    },
  };
}

function uniformsOf({ rows, columns, inner }: DenseLinearSpec, depth: number): Record<string, number> {
  return { rows, columns, inner, steps: Math.ceil(inner / (4 * depth)) };
}

const result = ({ bias }: DenseLinearSpec, sum: string): string =>
  `y[row * uniforms.columns + column] = ${sum}${bias ? " + bias[column]" : ""};`;

function tiled(name: string, shape: TileShape): KernelVariant<DenseLinearSpec> {
  return {
    name,
    supports: (_spec, capabilities) => tileFits(shape, capabilities),
    suits: ({ rows, columns }) => rows > FEW_ROWS && tileSuits(shape, rows, columns),
    generate: (spec) => {
      const { bindings, phase } = productOf(spec);
      return {
        passes: [definePass({
          bindings,
          uniforms: uniformsOf(spec, shape.depth),
          workgroups: tileWorkgroups(shape, spec.rows, spec.columns),
          body: tiledShader(shape, [{ ...phase, steps: "uniforms.steps" }], {
            wordType: "f32",
            perElement: (sum) => result(spec, sum(0)),
          }),
        })],
      };
    },
  };
}

const fewRows: KernelVariant<DenseLinearSpec> = {
  name: "few_rows",
  supports: ({ rows }) => rows <= FEW_ROWS,
  generate: (spec) => {
    const { bindings, phase } = productOf(spec);
    const rowPhase: RowPhase = { ...phase, units: "uniforms.steps" };
    return {
      passes: [definePass({
        bindings,
        uniforms: uniformsOf(spec, unitVectors(phase)),
        workgroups: rowWorkgroups(spec.columns),
        body: rowShader(rowBlock(spec.rows), [rowPhase], (sum) => result(spec, sum(0))),
      })],
    };
  },
};

/** Variants of `dense_linear`. */
export const denseLinearVariants: readonly KernelVariant<DenseLinearSpec>[] = [
  fewRows,
  ...TILE_SHAPES.map(([name, shape]) => tiled(name, shape)),
];
