// The tile shapes that every tiled op offers, and which of them suits a result of given size.
import type { KernelSpec } from "../specs.ts";
import type { WebGpuCapabilities } from "./capabilities.ts";
import { FEW_ROWS } from "./_rows.ts";
import { tileBytes, type TileShape } from "./_tile.ts";
import type { KernelProgram, KernelVariant } from "./program.ts";

/** Tile shapes by variant name, the preferred first. */
export const TILE_SHAPES: readonly (readonly [name: string, shape: TileShape])[] = [
  ["tiled_128x128", { rows: 128, columns: 128, depth: 4 }],
  ["tiled_64x64", { rows: 64, columns: 64, depth: 4 }],
];

/** Whether a tiled shader of this shape, with `extraBytes` more workgroup memory, fits the device. */
export function tileFits(shape: TileShape, capabilities: WebGpuCapabilities, extraBytes = 0): boolean {
  return tileBytes(shape) + extraBytes <= capabilities.limits.maxComputeWorkgroupStorageSize;
}

/** Whether a result gives large enough work to this tile: large tiles only pay where they leave no processor idle. */
export function tileSuits(shape: TileShape, rows: number, columns: number): boolean {
  const tiles = Math.ceil(rows / shape.rows) * Math.ceil(columns / shape.columns);
  return shape.rows <= 64 || (rows > shape.rows / 2 && tiles >= 128);
}

/**
 * The variants of a product that has a program for few rows and tiled ones for any.
 *
 * @param program Writes the program for one tile shape, or for few rows.
 */
export function fewRowsAndTiles<
  Spec extends KernelSpec & { readonly rows: number; readonly columns: number },
>(
  program: (spec: Spec, shape?: TileShape) => KernelProgram,
): readonly KernelVariant<Spec>[] {
  return [
    { name: "few_rows", supports: ({ rows }) => rows <= FEW_ROWS, generate: (spec) => program(spec) },
    ...TILE_SHAPES.map(([name, shape]): KernelVariant<Spec> => ({
      name,
      supports: (_spec, capabilities) => tileFits(shape, capabilities),
      suits: ({ rows, columns }) => rows > FEW_ROWS && tileSuits(shape, rows, columns),
      generate: (spec) => program(spec, shape),
    })),
  ];
}
