// How weights are distributed, and where the levels of a number format lie among them.
import { float4E2M1, normalFloatLevels, type NumberFormat } from "../../formats/mod.ts";
import type { Matrix } from "../../quant/mod.ts";
import type { TopLevelSpec } from "vega-lite";
import { type ComparedLayer, placeOf } from "./comparison.ts";
import { COLORS } from "./theme.ts";

const GROUP = 128;
const BINS = 120;
/** A little more than the range of scaled weights. */
const RANGE = 1.06;
/** A number format's values, the largest magnitude of a group being 1. */
interface Levels {
  readonly name: string;
  readonly levels: readonly number[];
}

const SHOWN: readonly Levels[] = [
  uniform(4),
  { name: "nf4", levels: [...normalFloatLevels(4)] },
  { name: "float4E2M1", levels: levelsOf(float4E2M1) },
  uniform(3),
  { name: "nf3", levels: [...normalFloatLevels(3)] },
  uniform(2),
];

/**
 * The chart: the weights of one layer, every group divided by its largest magnitude, under the levels of six formats.
 *
 * @param layer A float layer.
 */
export function weightsChart(layer: ComparedLayer): Omit<TopLevelSpec, "config"> {
  const { block, part } = placeOf(layer.name);
  const bins = histogram(layer.weight);
  const charts = SHOWN.map((shown, index) => drawLevels(shown, bins, index % 3 === 0));
  return {
    title: {
      text: `${part} of block ${block}, groups of ${GROUP} weights scaled to their largest`,
      anchor: "start",
      color: COLORS.ink,
      fontSize: 13,
      fontWeight: "normal",
      offset: 12,
    },
    concat: charts,
    columns: 3,
    spacing: { row: 18, column: 22 },
  } as unknown as TopLevelSpec;
}

function drawLevels({ name, levels }: Levels, bins: readonly unknown[], first: boolean): unknown {
  return {
    width: 338,
    height: 110,
    title: {
      text: `${name}: ${levels.length} levels`,
      anchor: "start",
      color: COLORS.ink,
      fontSize: 12,
    },
    layer: [
      {
        data: { values: bins },
        mark: { type: "area", interpolate: "step", color: COLORS.area, opacity: 0.65, aria: false },
        encoding: {
          x: {
            field: "weight",
            type: "quantitative",
            scale: { domain: [-RANGE, RANGE], nice: false },
            axis: { title: null, grid: false, tickCount: 5 },
          },
          y: {
            field: "share",
            type: "quantitative",
            axis: { title: first ? "weights" : null, labels: false, ticks: false, grid: false },
          },
        },
      },
      {
        data: { values: levels.map((level) => ({ level })) },
        mark: { type: "rule", color: COLORS.weights, strokeWidth: 1.2 },
        encoding: {
          x: { field: "level", type: "quantitative" },
          description: { value: { expr: "'level ' + format(datum.level, '.3f')" } },
        },
      },
    ],
  };
}

/** Integers from the smallest weight of a group to its largest. */
function uniform(bits: number): Levels {
  const count = 2 ** bits;
  return {
    name: `uint${bits}`,
    levels: Array.from({ length: count }, (_, code) => 2 * code / (count - 1) - 1),
  };
}

/** Distinct values of a format over its largest. */
function levelsOf(format: NumberFormat): number[] {
  const values = Array.from({ length: 2 ** format.bits }, (_, code) => format.decode(code) / format.max + 0);
  return [...new Set(values)].sort((a, b) => a - b);
}

function histogram({ data, rows, cols }: Matrix): { weight: number; share: number }[] {
  const counts = new Float64Array(BINS);
  for (let row = 0; row < rows; row++) {
    for (let start = 0; start < cols; start += GROUP) {
      const group = data.subarray(row * cols + start, row * cols + Math.min(cols, start + GROUP));
      const largest = group.reduce((max, value) => Math.max(max, Math.abs(value)), 0) || 1;
      for (const value of group) counts[Math.min(BINS - 1, Math.floor((value / largest + 1) / 2 * BINS))]++;
    }
  }
  return Array.from(counts, (count, i) => ({ weight: (i + 0.5) / BINS * 2 - 1, share: count / data.length }));
}
