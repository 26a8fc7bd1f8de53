// y += (x * down^T) * up^T: two dense products, the narrow result between them in scratch memory.
import type { LowRankAddSpec } from "../quantization_specs.ts";
import { densePass } from "./_dense_pass.ts";
import type { TileShape } from "./_tile.ts";
import { fewRowsAndTiles } from "./_tile_variants.ts";
import { input, type KernelProgram, output, scratch } from "./program.ts";

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
export const lowRankAddVariants = fewRowsAndTiles<LowRankAddSpec>(program);
