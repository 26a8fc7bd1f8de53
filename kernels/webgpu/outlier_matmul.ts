// FBGEMM's product with the large weights kept apart: the exact integer product of what is left, and each element's few
// remainders added where its sum is stored.
import type { OutlierMatmulSpec } from "../fbgemm_specs.ts";
import { integerUniforms, integerUnitVectors, rowIntegerPhase, tiledIntegerPhase } from "./_integer_phase.ts";
import { rowBlock, rowShader, rowWorkgroups } from "./_rows.ts";
import { tiledShader, type TileShape, tileWorkgroups } from "./_tile.ts";
import { fewRowsAndTiles } from "./_tile_variants.ts";
import { type Binding, definePass, input, type KernelProgram, output } from "./program.ts";

const bindings: readonly Binding[] = [
  input(0, "left", "array<vec4<u32>>"),
  input(1, "right", "array<vec4<u32>>"),
  input(2, "starts", "array<u32>"),
  input(3, "indices", "array<u32>"),
  input(4, "values", "array<i32>"),
  output(0, "y", "array<i32>"),
];

/** A row's product with the weights of a column that were kept apart. */
const REMAINDER = `
fn remainder(row: u32, column: u32) -> i32 {
  var sum = 0;
  for (var at = starts[column]; at < starts[column + 1u]; at++) {
    let k = indices[at];
    let word = left[row * uniforms.left_stride + k / 16u][(k / 4u) % 4u];
    sum += extractBits(bitcast<i32>(word), (k % 4u) * 8u, 8u) * values[at];
  }
  return sum;
}`;

const shapeOf = ({ inner }: OutlierMatmulSpec) => ({ inner, activationBits: 8, weightBits: 8 }) as const;

const store = (sum: (phase: number) => string): string =>
  `y[row * uniforms.columns + column] = ${sum(0)} + remainder(row, column);`;

function program(spec: OutlierMatmulSpec, shape?: TileShape): KernelProgram {
  const integers = shapeOf(spec);
  const depth = shape?.depth ?? integerUnitVectors(integers);
  const body = shape
    ? tiledShader(shape, [tiledIntegerPhase(integers)], { wordType: "u32", perElement: store })
    : rowShader(rowBlock(spec.rows), [rowIntegerPhase(integers)], store);
  return {
    passes: [definePass({
      bindings,
      uniforms: { rows: spec.rows, columns: spec.columns, ...integerUniforms(integers, depth) },
      workgroups: shape ? tileWorkgroups(shape, spec.rows, spec.columns) : rowWorkgroups(spec.columns),
      body: REMAINDER + body,
    })],
  };
}

/** Variants of `outlier_matmul`. */
export const outlierMatmulVariants = fewRowsAndTiles<OutlierMatmulSpec>(program);
