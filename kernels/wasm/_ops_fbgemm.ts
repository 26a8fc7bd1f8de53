// How FBGEMM's 8-bit products run.
import type { AffineLinearSpec, OutlierMatmulSpec } from "../fbgemm_specs.ts";
import { checkIndices, type Context, type Region } from "./_context.ts";
import { codePanels, packCodes, TILE_COLUMNS, weightMode } from "./_ops_linear.ts";

/** Number of the layout of 7-bit codes in `assembly/quik.ts`. */
const WEIGHT7 = 3;

/** Runs an {@linkcode AffineLinearSpec}: quantize and pack, multiply, correct by offsets and store. */
export function affineLinear(
  context: Context,
  spec: AffineLinearSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const { rows, columns, inner } = spec;
  const [x, qparams, ...weights] = inputs.map((region) => region.address);
  if (!spec.bias) weights.push(0);
  const [inputScale, inputZero, outputScale, outputZero] = context.floats(qparams, 4);
  const mode = weightMode(context, 8);
  const { panels, rowSums, width, units } = codePanels(context, rows, inner);
  const packing = [x, rows, inner, width, inputScale, inputZero, panels, rowSums];
  context.run("quantize_pack", { units, cost: 8 * inner * width }, packing);
  const scratch = context.exports.quik_scratch(inner, 0, mode);
  context.run(
    "affine_linear",
    { units: Math.ceil(columns / TILE_COLUMNS), cost: 2 * inner * rows, scratch },
    [
      panels,
      rowSums,
      ...weights,
      outputs[0].address,
      rows,
      columns,
      inner,
      mode,
      inputScale,
      inputZero,
      spec.outputType === "uint8" ? outputScale : 0,
      outputZero,
    ],
  );
}

/** Runs an {@linkcode OutlierMatmulSpec}. */
export function outlierMatmul(
  context: Context,
  spec: OutlierMatmulSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const { rows, columns, inner, remainders } = spec;
  const starts = context.indices(inputs[2], columns + 1);
  checkIndices(starts, remainders + 1, "remainder start");
  checkIndices(context.indices(inputs[3], remainders), inner, "remainder index");
  const [codes, ...weights] = inputs.map((region) => region.address);
  const panels = packCodes(context, { rows, inner, activationBits: 8 }, codes, WEIGHT7);
  const padded = Math.ceil(rows / 16) * 16;
  const transposed = context.temporary(inner * padded);
  context.run("transpose_codes", { units: inner, cost: 2 * rows }, [codes, rows, inner, padded, transposed]);
  const scratch = context.exports.quik_scratch(inner, 0, WEIGHT7) + 4 * TILE_COLUMNS * padded;
  const cost = 2 * rows * (inner + remainders / columns);
  context.run("outlier_matmul", { units: Math.ceil(columns / TILE_COLUMNS), cost, scratch }, [
    ...panels,
    transposed,
    ...weights,
    outputs[0].address,
    rows,
    columns,
    inner,
    padded,
  ]);
}
