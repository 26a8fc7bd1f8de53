// Products of float activations with float32, float16 or bfloat16 weights, accumulated in float32.
import type { DenseLinearSpec } from "../specs.ts";
import { densePass } from "./_dense_pass.ts";
import { finishPass } from "./_finish_pass.ts";
import { isPlainResult } from "./_result.ts";
import type { TileShape } from "./_tile.ts";
import { fewRowsAndTiles } from "./_tile_variants.ts";
import { widensInput } from "./_widen_pass.ts";
import { input, type KernelProgram, output, scratch } from "./program.ts";

/** The product, and a pass that finishes its sums where they are not the result. */
function program(spec: DenseLinearSpec, shape?: TileShape): KernelProgram {
  const { rows, columns, activation, resultType } = spec;
  const half = resultType === "float16";
  const product = {
    ...spec,
    left: (name: string, type: string) => input(0, name, type),
    right: (name: string, type: string) => input(1, name, type),
    bias: spec.bias ? input(2, "bias", "array<f32>") : undefined,
    y: half ? scratch(0, "y", "array<f32>", "write") : output(0, "y", "array<f32>"),
  };
  const pass = densePass(product, shape);
  if (isPlainResult(spec)) return { passes: [pass] };
  return {
    passes: [pass, finishPass({ rows, columns, activation, resultType })],
    scratch: half ? [rows * columns * 4] : [],
  };
}

/** Variants of `dense_linear`. */
export const denseLinearVariants = fewRowsAndTiles<DenseLinearSpec>(program).map(
  widensInput<DenseLinearSpec>,
);
