// Exact int32 products of packed codes through dot4I8Packed: tiled for many rows, and a reduction along k for few.
import type { IntegerMatmulSpec } from "../specs.ts";
import {
  exactSum,
  integerUniforms,
  integerUnitVectors,
  rowIntegerPhase,
  tiledIntegerPhase,
} from "./_integer_phase.ts";
import { FEW_ROWS, rowBlock, rowShader, rowWorkgroups } from "./_rows.ts";
import { tiledShader, type TileShape, tileWorkgroups } from "./_tile.ts";
import { TILE_SHAPES, tileFits, tileSuits } from "./_tile_variants.ts";
import { type Binding, definePass, input, type KernelVariant, output } from "./program.ts";

const bindings: readonly Binding[] = [
  input(0, "left", "array<vec4<u32>>"),
  input(1, "right", "array<vec4<u32>>"),
  output(0, "y", "array<i32>"),
];

function tiled(name: string, shape: TileShape): KernelVariant<IntegerMatmulSpec> {
  return {
    name,
    supports: (_spec, capabilities) => tileFits(shape, capabilities),
    suits: ({ rows, columns }) => rows > FEW_ROWS && tileSuits(shape, rows, columns),
    generate: (spec) => ({
      passes: [definePass({
        bindings,
        uniforms: { rows: spec.rows, columns: spec.columns, ...integerUniforms(spec, shape.depth) },
        workgroups: tileWorkgroups(shape, spec.rows, spec.columns),
        body: tiledShader(shape, [tiledIntegerPhase(spec)], {
          wordType: "u32",
          perElement: (sum) => `y[row * uniforms.columns + column] = ${exactSum(spec, sum(0))};`,
        }),
      })],
    }),
  };
}

const fewRows: KernelVariant<IntegerMatmulSpec> = {
  name: "few_rows",
  supports: ({ rows }) => rows <= FEW_ROWS,
  generate: (spec) => ({
    passes: [definePass({
      bindings,
      uniforms: {
        rows: spec.rows,
        columns: spec.columns,
        ...integerUniforms(spec, integerUnitVectors(spec)),
      },
      workgroups: rowWorkgroups(spec.columns),
      body: rowShader(
        rowBlock(spec.rows),
        [rowIntegerPhase(spec)],
        (sum) => `y[row * uniforms.columns + column] = ${exactSum(spec, sum(0))};`,
      ),
    })],
  }),
};

/** Variants of `integer_matmul`. */
export const integerMatmulVariants: readonly KernelVariant<IntegerMatmulSpec>[] = [
  fewRows,
  ...TILE_SHAPES.map(([name, shape]) => tiled(name, shape)),
];
