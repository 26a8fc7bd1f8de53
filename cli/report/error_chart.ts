// Output error of every layer under every method, as a heatmap.
import type { MeasuredMethod } from "../../models/mod.ts";
import type { TopLevelSpec } from "vega-lite";
import { placeOf } from "./comparison.ts";

const WIDTH = 930;
const ROW_HEIGHT = 16;
const LEGEND_TICKS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
/** Cells narrower than this have no room for names. */
const NAMED_CELL = 11;

/**
 * The chart: a row per method, the best first, and a column per layer, grouped by block.
 *
 * @param rows Methods; those that leave all layers as they were are left out.
 */
export function errorChart(rows: readonly MeasuredMethod[]): Omit<TopLevelSpec, "config"> | undefined {
  const shown = rows.filter((row) => row.outputError > 0).toSorted((a, b) => a.outputError - b.outputError);
  if (shown.length === 0) return undefined;
  const layers = shown[0].layerErrors.map(({ layer }) => placeOf(layer));
  const cell = Math.max(2, Math.min(22, Math.floor(WIDTH / layers.length)));
  const values = shown.flatMap((row) =>
    row.layerErrors.map(({ error }, i) => ({
      method: row.method,
      ...layers[i],
      percent: Math.max(error, 1e-4) * 100,
    }))
  );
  const least = Math.min(...values.map(({ percent }) => percent));
  const most = Math.max(...values.map(({ percent }) => percent));
  return {
    data: { values },
    facet: {
      column: {
        field: "block",
        type: "ordinal",
        title: null,
        header: { labelExpr: "'block ' + datum.value" },
      },
    },
    spacing: 5,
    spec: {
      width: cell * new Set(layers.map(({ part }) => part)).size,
      height: ROW_HEIGHT * shown.length,
      mark: { type: "rect", stroke: "white", strokeWidth: cell > 6 ? 0.7 : 0 },
      encoding: {
        x: {
          field: "part",
          type: "nominal",
          sort: [...new Set(layers.map(({ part }) => part))],
          axis: cell < NAMED_CELL ? null : { title: null, labelAngle: -60, ticks: false, domain: false },
        },
        y: {
          field: "method",
          type: "nominal",
          sort: shown.map(({ method }) => method),
          axis: { title: null, ticks: false, domain: false, labelLimit: 220, labelPadding: 6 },
        },
        color: {
          field: "percent",
          type: "quantitative",
          scale: { type: "log", scheme: "yelloworangered" },
          legend: {
            title: "relative output error (%)",
            orient: "top",
            direction: "horizontal",
            gradientLength: 320,
            titleLimit: 320,
            values: LEGEND_TICKS.filter((tick) => tick >= least && tick <= most),
            format: "~r",
          },
        },
        description: {
          value: {
            expr:
              "datum.method + ', block ' + datum.block + ' ' + datum.part + ': ' + format(datum.percent, '.3~r') + '%'",
          },
        },
      },
    },
  } as unknown as TopLevelSpec;
}
