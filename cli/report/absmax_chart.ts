// Largest activation of each input column, with the columns that QUIK keeps in 16 bits.
import { selectOutlierColumns, widenedOutlierCount } from "../../quant/mod.ts";
import type { TopLevelSpec } from "vega-lite";
import { type ComparedLayer, placeOf } from "./comparison.ts";
import { COLORS } from "./theme.ts";

/** Points that an outline is drawn with at most; wider layers show the largest of neighbouring columns. */
const MAX_POINTS = 384;

/** Layers that read one input. */
interface Stage {
  readonly block: number;
  readonly parts: readonly string[];
  readonly absmax: Float32Array;
}

/**
 * The chart: inputs of the first, a middle and the last block.
 *
 * @param layers The float model's layers.
 */
export function absmaxChart(layers: readonly ComparedLayer[]): Omit<TopLevelSpec, "config"> {
  const stages = stagesOf(layers);
  const blocks = [...new Set(stages.map(({ block }) => block))];
  const shown = [...new Set([blocks[0], blocks[blocks.length >> 1], blocks[blocks.length - 1]])];
  const hidden = stages[0].absmax.length;
  const perBlock = shown.map((block) => stages.filter((stage) => stage.block === block));
  const charts = perBlock[0].flatMap((_, row) =>
    perBlock.map((column, i) => profile(column[row], { hidden, top: row === 0, left: i === 0 }))
  );
  return {
    concat: charts,
    columns: shown.length,
    align: "all",
    spacing: { row: 10, column: 20 },
  } as unknown as TopLevelSpec;
}

function stagesOf(layers: readonly ComparedLayer[]): Stage[] {
  const groups = Map.groupBy(layers, ({ calibration }) => calibration);
  return [...groups].map(([{ absmax }, group]) => ({
    block: placeOf(group[0].name).block,
    parts: group.map(({ name }) => placeOf(name).part),
    absmax,
  }));
}

function profile(
  { block, parts, absmax }: Stage,
  options: { readonly hidden: number; readonly top: boolean; readonly left: boolean },
): unknown {
  const { hidden, top, left } = options;
  const step = Math.ceil(absmax.length / MAX_POINTS);
  const outline = Array.from({ length: Math.ceil(absmax.length / step) }, (_, i) => ({
    column: i * step,
    absmax: Math.max(...absmax.subarray(i * step, (i + 1) * step)),
  }));
  const count = widenedOutlierCount(Math.min(256, hidden >> 4), { inputs: absmax.length, hidden });
  const outliers = [...selectOutlierColumns(absmax, { count })].map((column) => ({
    column,
    absmax: absmax[column],
  }));
  return {
    width: 320,
    height: 84,
    ...(top ? { title: { text: `block ${block}`, anchor: "middle", color: COLORS.ink, fontSize: 12 } } : {}),
    encoding: {
      x: {
        field: "column",
        type: "quantitative",
        scale: { domain: [0, absmax.length], nice: false },
        axis: { title: null, grid: false, tickCount: 4 },
      },
      y: {
        field: "absmax",
        type: "quantitative",
        axis: { title: left ? `into ${parts.join(", ")}` : null, tickCount: 3, titleFontSize: 11 },
      },
    },
    layer: [
      {
        data: { values: outline },
        mark: { type: "area", interpolate: "step", color: COLORS.area, opacity: 0.65, aria: false },
      },
      {
        data: { values: outliers },
        mark: { type: "bar", width: 1.5, color: COLORS.outlier },
        encoding: {
          description: { value: { expr: "'column ' + datum.column + ': ' + format(datum.absmax, '.2f')" } },
        },
      },
    ],
  };
}
