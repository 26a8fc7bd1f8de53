// How the ops on rows and elements run.
import type {
  ActivationSpec,
  AddSpec,
  ArgmaxSpec,
  AttentionSpec,
  ColumnAbsmaxSpec,
  GatedActivationSpec,
  GatherRowsSpec,
  LayerNormSpec,
  QuantizeActivationsSpec,
  RmsNormSpec,
  RopeSpec,
  ScatterRowsSpec,
  TokenNllSpec,
} from "../specs.ts";
import { checkIndices, type Context, type Region } from "./_context.ts";
import { FLOAT_TYPES } from "./_ops_linear.ts";
import { ACTIVATIONS } from "./_result.ts";

const addresses = (regions: Region[]): number[] => regions.map((region) => region.address);

/** Runs a {@linkcode QuantizeActivationsSpec}. */
export function quantizeActivations(
  context: Context,
  spec: QuantizeActivationsSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const { rows, columns, outliers, bits } = spec;
  const base = columns - outliers;
  checkIndices(context.indices(inputs[1], base), columns, "base column");
  checkIndices(context.indices(inputs[2], outliers), columns, "outlier column");
  const work = { units: rows, cost: 60 * columns, scratch: base * 4 + 128 };
  context.run("quantize_activations", work, [
    ...addresses(inputs),
    ...addresses(outputs),
    columns,
    outliers,
    bits,
  ]);
}

/** Runs a {@linkcode GatherRowsSpec}. */
export function gatherRows(
  context: Context,
  spec: GatherRowsSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const { rows, columns, tableType } = spec;
  const tableRows = Math.floor(inputs[0].byteLength / (columns * (tableType === "float32" ? 4 : 2)));
  checkIndices(context.indices(inputs[1], rows), tableRows, "row");
  context.run("gather_rows", { units: rows, cost: 10 * columns }, [
    ...addresses(inputs),
    outputs[0].address,
    columns,
    FLOAT_TYPES[tableType],
  ]);
}

/** Runs a {@linkcode ScatterRowsSpec}. */
export function scatterRows(
  context: Context,
  spec: ScatterRowsSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const { rows, columns } = spec;
  checkIndices(
    context.indices(inputs[1], rows),
    Math.floor(outputs[0].byteLength / (columns * 4)),
    "position",
  );
  // One unit: with a position given twice, the later row stays.
  context.run("scatter_rows", { units: rows, cost: 0 }, [...addresses(inputs), outputs[0].address, columns]);
}

/** Runs an {@linkcode RmsNormSpec}. */
export function rmsNorm(context: Context, spec: RmsNormSpec, inputs: Region[], outputs: Region[]): void {
  const [x, weight] = addresses(inputs);
  norm(context, spec, [x, weight, 0, outputs[0].address]);
}

/** Runs a {@linkcode LayerNormSpec}. */
export function layerNorm(context: Context, spec: LayerNormSpec, inputs: Region[], outputs: Region[]): void {
  norm(context, spec, [...addresses(inputs), outputs[0].address]);
}

function norm(context: Context, spec: RmsNormSpec | LayerNormSpec, buffers: number[]): void {
  const { rows, columns, epsilon } = spec;
  context.run("norm", { units: rows, cost: 40 * columns }, [...buffers, columns, epsilon]);
}

/** Runs a {@linkcode RopeSpec}. */
export function rope(context: Context, spec: RopeSpec, inputs: Region[], outputs: Region[]): void {
  const { rows, heads, headSize } = spec;
  const tableRows = Math.floor(inputs[1].byteLength / (headSize * 2));
  checkIndices(context.indices(inputs[3], rows), tableRows, "position");
  context.run("rope", { units: rows, cost: 40 * heads * headSize }, [
    ...addresses(inputs),
    outputs[0].address,
    heads,
    headSize,
  ]);
}

/** Runs an {@linkcode AttentionSpec}: packs the cache positions that any row sees, then attends. */
export function attention(context: Context, spec: AttentionSpec, inputs: Region[], outputs: Region[]): void {
  const { rows, heads, kvHeads, headSize, capacity, window } = spec;
  const [q, keys, values, positions] = addresses(inputs);
  const indices = context.indices(inputs[3], rows);
  const last = checkIndices(indices, capacity, "position");
  const earliest = indices.reduce((lowest, position) => Math.min(lowest, position), last);
  const start = window > 0 ? Math.max(0, earliest - window + 1) : 0;
  const count = last + 1 - start;
  const panels = context.temporary(context.exports.attention_panels(count, kvHeads, headSize) >>> 0);
  const packing = { units: kvHeads * Math.ceil(count / 64), cost: 64 * headSize * 40 };
  context.run("attention_pack", packing, [keys, values, panels, start, count, kvHeads, headSize]);
  const work = {
    units: heads * Math.ceil(rows / 3),
    cost: 6 * count * headSize,
    scratch: context.exports.attention_scratch(count, headSize),
  };
  context.run("attention", work, [
    q,
    panels,
    positions,
    outputs[0].address,
    rows,
    heads,
    kvHeads,
    headSize,
    window,
    start,
    count,
  ]);
}

/** Runs an {@linkcode ActivationSpec}. */
export function activation(
  context: Context,
  spec: ActivationSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  elements(context, "activation", spec.count, [...inputs, ...outputs], 200, ACTIVATIONS[spec.activation]);
}

/** Runs a {@linkcode GatedActivationSpec}. */
export function gatedActivation(
  context: Context,
  spec: GatedActivationSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  elements(
    context,
    "gated_activation",
    spec.count,
    [...inputs, ...outputs],
    200,
    ACTIVATIONS[spec.activation],
  );
}

/** Runs an {@linkcode AddSpec}. */
export function add(context: Context, spec: AddSpec, inputs: Region[], outputs: Region[]): void {
  elements(context, "add", spec.count, [...inputs, ...outputs], 150);
}

function elements(
  context: Context,
  kernel: string,
  count: number,
  regions: Region[],
  cost: number,
  ...args: number[]
): void {
  context.run(kernel, { units: Math.ceil(count / 4), cost }, [...addresses(regions), count, ...args]);
}

/** Runs a {@linkcode TokenNllSpec}. */
export function tokenNll(context: Context, spec: TokenNllSpec, inputs: Region[], outputs: Region[]): void {
  const { rows, columns } = spec;
  checkIndices(context.indices(inputs[1], rows), columns, "target");
  context.run("token_nll", { units: rows, cost: 30 * columns }, [
    ...addresses(inputs),
    outputs[0].address,
    columns,
  ]);
}

/** Runs an {@linkcode ArgmaxSpec}: one comparison per element, which plain code does as fast as memory gives them. */
export function argmax(context: Context, spec: ArgmaxSpec, inputs: Region[], outputs: Region[]): void {
  const { rows, columns } = spec;
  const ids = context.indices(outputs[0], rows);
  for (let row = 0; row < rows; row++) {
    const logits = context.floats(inputs[0].address + 4 * row * columns, columns);
    let highest = -Infinity;
    let best = 0;
    for (let column = 0; column < columns; column++) {
      if (logits[column] > highest) {
        highest = logits[column];
        best = column;
      }
    }
    ids[row] = best;
  }
}

/** Runs a {@linkcode ColumnAbsmaxSpec}. */
export function columnAbsmax(
  context: Context,
  spec: ColumnAbsmaxSpec,
  inputs: Region[],
  outputs: Region[],
): void {
  const { rows, columns } = spec;
  context.run("column_absmax", { units: Math.ceil(columns / 4), cost: 20 * rows }, [
    inputs[0].address,
    outputs[0].address,
    rows,
    columns,
  ]);
}
