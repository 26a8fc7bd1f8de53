// gram += x^T x: a tiled product of the columns of x with themselves. Tiles below the diagonal are skipped, and
// every element of the upper triangle is written twice, so that the result stays exactly symmetric.
import type { GramSpec } from "../specs.ts";
import { multiplyFloat, type Operand, tiledShader, type TileShape, tileWorkgroups } from "./_tile.ts";
import { TILE_SHAPES, tileFits, tileSuits } from "./_tile_variants.ts";
import { definePass, input, type KernelVariant, output } from "./program.ts";

/** Columns of x as rows of an operand, four values of a column to a unit. */
const columnsOperand: Operand = {
  declarations: `
fn value_at(column: u32, row: u32) -> f32 {
  let value = x[min(row, uniforms.tokens - 1u) * uniforms.columns + min(column, uniforms.columns - 1u)];
  return select(0.0, value, row < uniforms.tokens);
}
fn fetch_x(column: u32, unit: u32) -> vec4<f32> {
  let row = unit * 4u;
  return vec4<f32>(value_at(column, row), value_at(column, row + 1u), value_at(column, row + 2u),
    value_at(column, row + 3u));
}`,
  type: "vec4<f32>",
  fetch: (row, unit) => `fetch_x(${row}, ${unit})`,
  expand: [(value) => value],
};

function tiled(name: string, shape: TileShape): KernelVariant<GramSpec> {
  return {
    name,
    supports: (_spec, capabilities) => tileFits(shape, capabilities),
    suits: ({ columns }) => tileSuits(shape, columns, columns),
    generate: ({ rows, columns }) => ({
      passes: [definePass({
        bindings: [input(0, "x", "array<f32>"), output(0, "sums", "array<f32>")],
        uniforms: { rows: columns, columns, tokens: rows, steps: Math.ceil(rows / (4 * shape.depth)) },
        workgroups: tileWorkgroups(shape, columns, columns),
        body: tiledShader(shape, [{
          left: columnsOperand,
          right: columnsOperand,
          steps: "uniforms.steps",
          accumulator: "acc",
          accumulatorType: "f32",
          multiply: multiplyFloat,
        }], {
          wordType: "f32",
          prologue: `if (column0 + ${shape.columns}u <= row0) { return; }`,
          perElement: (sum) => `
          if (column >= row) {
            sums[row * uniforms.columns + column] += ${sum(0)};
            if (column > row) { sums[column * uniforms.columns + row] += ${sum(0)}; }
          }`,
        }),
      })],
    }),
  };
}

/** Variants of `gram`. */
export const gramVariants: readonly KernelVariant<GramSpec>[] = TILE_SHAPES.map(([name, shape]) =>
  tiled(name, shape)
);
