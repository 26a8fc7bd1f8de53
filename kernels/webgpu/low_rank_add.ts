// y += (x * down^T) * up^T: two dense products, the narrow result between them in scratch memory.
import type { LowRankAddSpec } from "../quantization_specs.ts";
import { densePass } from "./_dense_pass.ts";
import { FEW_ROWS } from "./_rows.ts";
import type { TileShape } from "./_tile.ts";
import { TILE_SHAPES, tileFits, tileSuits } from "./_tile_variants.ts";
import { input, type KernelProgram, type KernelVariant, output, scratch } from "./program.ts";

function program(spec: LowRankAddSpec, shape?: TileShape): KernelProgram {
  const { rows, columns, inner, rank, weightType } = spec;
  return {
    passes: [
      densePass({
        rows,
        columns: rank,
        inner,
        weightType,
        left: (name, type) => input(0, name, type),
        right: (name, type) => input(1, name, type),
        y: scratch(0, "y", "array<f32>", "write"),
      }, shape),
      densePass({
        rows,
        columns,
        inner: rank,
        weightType,
        left: (name, type) => scratch(0, name, type, "read"),
        right: (name, type) => input(2, name, type),
        y: output(0, "y", "array<f32>"),
        accumulate: true,
      }, shape),
    ],
    scratch: [rows * rank * 4],
  };
}

/** Variants of `low_rank_add`. */
export const lowRankAddVariants: readonly KernelVariant<LowRankAddSpec>[] = [
  { name: "few_rows", supports: ({ rows }) => rows <= FEW_ROWS, generate: (spec) => program(spec) },
  ...TILE_SHAPES.map(([name, shape]): KernelVariant<LowRankAddSpec> => ({
    name,
    supports: (_spec, capabilities) => tileFits(shape, capabilities),
    suits: ({ rows, columns }) => rows > FEW_ROWS && tileSuits(shape, rows, columns),
    generate: (spec) => program(spec, shape),
  })),
];
