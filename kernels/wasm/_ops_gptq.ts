// How GPTQ's two halves run.
import type { GptqSweepSpec, InverseFactorSpec } from "../quantization_specs.ts";
import { checkIndices, type Context, type Region } from "./_context.ts";
import { TILE_ROWS } from "./_ops_linear.ts";

/** Columns that Cholesky finishes between two updates of the rest; a multiple of 4. */
const BLOCK = 64;
/** Bytes of a float64 tile of results. */
const TILE_BYTES = 128;

/** Runs an {@linkcode InverseFactorSpec}. */
export function inverseFactor(
  context: Context,
  { size }: InverseFactorSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  checkIndices(context.indices(inputs[1], size), size, "column");
  const [hessian, order, damping] = inputs.map((region) => region.address);
  const stride = Math.ceil(size / 4) * 4;
  // The transpose is read four rows at a time, so it has rows up to the stride.
  const matrix = context.temporary(8 * stride * stride);
  const transposed = context.temporary(8 * stride * stride);
  context.fill(transposed, 0, 8 * stride * stride);
  const shape = [size, stride];
  context.run("reverse_hessian", { units: size, cost: 10 * size }, [
    hessian,
    order,
    damping,
    matrix,
    ...shape,
  ]);
  if (!factor(context, matrix, size, stride)) {
    context.floats(outputs[1].address, size).fill(NaN);
    return;
  }
  context.run("transpose_double", { units: size, cost: 10 * size }, [matrix, transposed, ...shape]);
  const tiles = Math.ceil(size / TILE_ROWS);
  const work = { units: tiles, cost: TILE_ROWS * size * size, scratch: TILE_BYTES };
  context.run("invert_lower", work, [transposed, matrix, ...shape]);
  context.run("reverse_factor", { units: size, cost: 4 * size }, [
    transposed,
    matrix,
    ...outputs.map((region) => region.address),
    ...shape,
  ]);
}

/** Replaces a symmetric matrix by its lower Cholesky factor. Returns whether it is positive definite. */
function factor(context: Context, matrix: number, size: number, stride: number): boolean {
  const failed = context.temporary(4);
  context.writeIntegers(failed, [0]);
  for (let first = 0; first < size; first += BLOCK) {
    const last = Math.min(first + BLOCK, size);
    context.run("cholesky_diagonal", { units: 1, cost: 0 }, [matrix, failed, first, last, size, stride]);
    const units = Math.ceil((size - last) / TILE_ROWS);
    const work = { units, cost: 2 * TILE_ROWS * BLOCK * last, scratch: TILE_BYTES };
    if (units > 0) context.run("cholesky_panel", work, [matrix, first, last, size, stride]);
  }
  return context.indices({ address: failed, byteLength: 4 }, 1)[0] === 0;
}

/** Runs a {@linkcode GptqSweepSpec}. */
export function gptqSweep(context: Context, spec: GptqSweepSpec, inputs: Region[], outputs: Region[]): void {
  const { rows, columns, base, groups, bits } = spec;
  checkIndices(context.indices(inputs[1], base), groups, "group");
  checkIndices(context.indices(inputs[5], 2 ** bits), 2 ** bits, "code");
  const work = {
    units: Math.ceil(rows / 4),
    cost: 4 * columns * columns,
    scratch: context.exports.sweep_scratch(columns),
  };
  context.run("gptq_sweep", work, [
    ...inputs.map((region) => region.address),
    ...outputs.map((region) => region.address),
    rows,
    columns,
    base,
    groups,
    bits,
  ]);
}
