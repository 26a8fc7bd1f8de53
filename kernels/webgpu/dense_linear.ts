// Products of float activations with float32, float16 or bfloat16 weights, accumulated in float32.
import type { DenseLinearSpec } from "../specs.ts";
import { densePass } from "./_dense_pass.ts";
import { FEW_ROWS } from "./_rows.ts";
import type { TileShape } from "./_tile.ts";
import { TILE_SHAPES, tileFits, tileSuits } from "./_tile_variants.ts";
import { input, type KernelProgram, type KernelVariant, output } from "./program.ts";

function program(spec: DenseLinearSpec, shape?: TileShape): KernelProgram {
  const product = {
    ...spec,
    left: (name: string, type: string) => input(0, name, type),
    right: (name: string, type: string) => input(1, name, type),
    bias: spec.bias ? input(2, "bias", "array<f32>") : undefined,
    y: output(0, "y", "array<f32>"),
  };
  return { passes: [densePass(product, shape)] };
}

/** Variants of `dense_linear`. */
export const denseLinearVariants: readonly KernelVariant<DenseLinearSpec>[] = [
  { name: "few_rows", supports: ({ rows }) => rows <= FEW_ROWS, generate: (spec) => program(spec) },
  ...TILE_SHAPES.map(([name, shape]): KernelVariant<DenseLinearSpec> => ({
    name,
    supports: (_spec, capabilities) => tileFits(shape, capabilities),
    suits: ({ rows, columns }) => rows > FEW_ROWS && tileSuits(shape, rows, columns),
    generate: (spec) => program(spec, shape),
  })),
];
