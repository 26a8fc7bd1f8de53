// The look of a report: few colors, one meaning each.
import type { Config } from "vega-lite";

/** Colors of a report. */
export const COLORS = {
  ink: "#1f2937",
  quiet: "#6b7280",
  line: "#e5e7eb",
  weights: "#2563eb",
  activations: "#d97706",
  cache: "#0f766e",
  outlier: "#dc2626",
  area: "#94a3b8",
} as const;

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

/** What every chart shares. */
export const CHART_CONFIG: Config = {
  background: "transparent",
  font: FONT,
  padding: 4,
  view: { stroke: null },
  axis: {
    labelColor: COLORS.quiet,
    titleColor: COLORS.ink,
    titleFontWeight: "normal",
    titleFontSize: 12,
    labelFontSize: 11,
    gridColor: COLORS.line,
    domainColor: COLORS.line,
    tickColor: COLORS.line,
  },
  header: { labelColor: COLORS.ink, labelFontSize: 12, titleColor: COLORS.ink, labelFontWeight: "bold" },
  legend: { labelColor: COLORS.ink, titleColor: COLORS.ink, titleFontWeight: "normal", labelFontSize: 12 },
};
