// Perplexity against size: one panel for weight-only methods, one for those that quantize activations, one for the cache.
import type { MeasuredMethod } from "../../models/mod.ts";
import type { TopLevelSpec } from "vega-lite";
import { formatPerplexity } from "../comparison_table.ts";
import { placeLabels } from "./place_labels.ts";
import { COLORS } from "./theme.ts";

const HEIGHT = 500;
/** Percent above the float model at which points stand that are as good or better: the axis is logarithmic. */
const LEAST_ABOVE = 0.05;
/** Percent at which broken models stand, with their perplexity behind the name. */
const MOST_ABOVE = 1000;
const FONT_SIZE = 11;

/** A panel of the chart. */
interface Panel {
  readonly title: string;
  readonly xTitle: string;
  readonly color: string;
  readonly width: number;
  readonly rows: readonly MeasuredMethod[];
  readonly x: (row: MeasuredMethod) => number;
}

interface Point {
  readonly method: string;
  readonly bits: number;
  /** Percent above the float model. */
  readonly above: number;
}

interface Scale {
  readonly domain: readonly [number, number];
  readonly toPixel: (value: number) => number;
  readonly toValue: (pixel: number) => number;
}

/**
 * The chart. Its vertical axis is the perplexity above the float model's, so that good methods stand apart as well.
 *
 * @param rows Every method that was measured.
 * @param floatPerplexity Of the unquantized model.
 */
export function qualityChart(
  rows: readonly MeasuredMethod[],
  floatPerplexity: number,
): Omit<TopLevelSpec, "config"> {
  const bits = (row: MeasuredMethod): number => row.bitsPerWeight;
  const quantized = rows.filter((row) => row.weightBits !== 16);
  const candidates: readonly Panel[] = [
    {
      title: "Weights only",
      xTitle: "bits per weight, everything stored counted",
      color: COLORS.weights,
      width: 445,
      rows: quantized.filter((row) => row.activationBits === 16),
      x: bits,
    },
    {
      title: "Weights and activations",
      xTitle: "bits per weight, everything stored counted",
      color: COLORS.activations,
      width: 420,
      rows: quantized.filter((row) => row.activationBits !== 16),
      x: bits,
    },
    {
      title: "Cache only",
      xTitle: "bits per cached number",
      color: COLORS.cache,
      width: 100,
      rows: rows.filter((row) => row.weightBits === 16 && row.cacheBits < 16),
      x: (row) => row.cacheBits,
    },
  ];
  const panels = candidates.filter((panel) => panel.rows.length > 0);
  return {
    hconcat: panels.map((panel, index) => drawPanel(panel, floatPerplexity, index === 0)),
    spacing: 24,
  } as unknown as TopLevelSpec;
}

function drawPanel(panel: Panel, floatPerplexity: number, first: boolean): unknown {
  const { rows, width, x: bitsOf, color } = panel;
  const points = rows.map((row) => ({
    ...placeOnAxis(row, floatPerplexity),
    bits: bitsOf(row),
    perplexity: row.perplexity,
  }));
  const x = linearScale(points.map((point) => point.bits), width);
  const y = logScale(points.map((point) => point.above), HEIGHT);
  const description =
    "datum.method + ': ' + format(datum.perplexity, '.2f') + ' at ' + format(datum.bits, '.2f') + ' bits'";
  return {
    width,
    height: HEIGHT,
    title: { text: panel.title, anchor: "start", color: COLORS.ink, fontSize: 13 },
    encoding: {
      x: {
        field: "bits",
        type: "quantitative",
        scale: { domain: x.domain, nice: false, zero: false },
        axis: { title: panel.xTitle, tickCount: Math.max(3, Math.round(width / 70)), grid: true },
      },
      y: {
        field: "above",
        type: "quantitative",
        scale: { type: "log", domain: y.domain, nice: false },
        axis: {
          title: first ? "perplexity, and how far above the float model's" : null,
          values: niceTicks(y.domain),
          labelExpr: `${
            first ? `format(${floatPerplexity} * (1 + datum.value / 100), '.1f') + '  ' + ` : ""
          }'+' + datum.value + '%'`,
        },
      },
    },
    layer: [
      ...labels(points, width, x, y),
      {
        data: { values: points },
        mark: { type: "circle", size: 70, color, opacity: 0.85, stroke: "white", strokeWidth: 1 },
        encoding: { description: { value: { expr: description } } },
      },
    ],
  };
}

function placeOnAxis(
  { method, perplexity }: MeasuredMethod,
  floatPerplexity: number,
): Pick<Point, "method" | "above"> {
  const above = (perplexity / floatPerplexity - 1) * 100;
  if (above <= MOST_ABOVE) return { method, above: Math.max(LEAST_ABOVE, above) };
  return { method: `${method} (${formatPerplexity(perplexity)})`, above: MOST_ABOVE };
}

/** Names beside the points, and thin lines to those that stand away from theirs. */
function labels(values: readonly Point[], width: number, x: Scale, y: Scale): unknown[] {
  const points = values.toSorted((a, b) => a.above - b.above).map(({ method, bits, above }) => ({
    text: method,
    x: x.toPixel(bits),
    y: y.toPixel(above),
  }));
  const placed = placeLabels(points, { width, height: HEIGHT, fontSize: FONT_SIZE });
  const at = (px: number, py: number): { bits: number; above: number } => {
    return { bits: x.toValue(px), above: y.toValue(py) };
  };
  const lines = placed.map((label, id) => {
    const end = label.x > label.point.x
      ? label.x - 1
      : Math.min(label.point.x, label.x + label.text.length * 6);
    return [{ id, ...at(label.point.x, label.point.y) }, { id, ...at(end, label.y) }];
  });
  return [
    {
      data: { values: lines.flat() },
      mark: { type: "line", color: COLORS.area, strokeWidth: 0.6, aria: false },
      encoding: { detail: { field: "id" } },
    },
    {
      data: { values: placed.map((label) => ({ text: label.text, ...at(label.x, label.y) })) },
      mark: {
        type: "text",
        align: "left",
        baseline: "middle",
        fontSize: FONT_SIZE,
        color: COLORS.ink,
        aria: false,
      },
      encoding: { text: { field: "text" } },
    },
  ];
}

function linearScale(values: readonly number[], size: number): Scale {
  const low = Math.min(...values), high = Math.max(...values), margin = Math.max(0.4, (high - low) * 0.12);
  const first = Math.max(0, low - margin), range = high + margin - first;
  return {
    domain: [first, first + range],
    toPixel: (value) => (value - first) / range * size,
    toValue: (pixel) => first + pixel / size * range,
  };
}

/** From top to bottom. */
function logScale(values: readonly number[], size: number): Scale {
  const low = Math.log(Math.min(...values)), high = Math.log(Math.max(...values));
  const margin = Math.max(0.01, (high - low) * 0.06);
  const top = high + margin, range = top - low + margin;
  return {
    domain: [Math.exp(low - margin), Math.exp(top)],
    toPixel: (value) => (top - Math.log(value)) / range * size,
    toValue: (pixel) => Math.exp(top - pixel / size * range),
  };
}

/** Round numbers inside a logarithmic axis. */
function niceTicks([low, high]: readonly [number, number]): number[] {
  const decades = [0.01, 0.1, 1, 10, 100, 1000, 1e4, 1e5, 1e6];
  const steps = high / low > 300 ? [1, 3] : [1, 2, 5];
  return decades.flatMap((decade) => steps.map((step) => Number((decade * step).toPrecision(1))))
    .filter((tick) => tick >= low && tick <= high);
}
