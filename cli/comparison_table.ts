// The rows of a comparison for people: on a terminal, in a log, in Markdown.
import type { ComparisonRow, FailedMethod, MeasuredMethod } from "../models/mod.ts";
import { type Alignment, formatTable } from "./table.ts";

/** Heading and alignment of each column. */
const COLUMNS: readonly (readonly [heading: string, alignment: Alignment])[] = [
  ["method", "left"],
  ["W/A/KV bits", "left"],
  ["bits per weight", "right"],
  ["perplexity", "right"],
  ["KL of logits", "right"],
  ["output error, mean", "right"],
  ["worst", "right"],
  ["seconds", "right"],
];

/** Whether a method failed. */
export function hasFailed(row: ComparisonRow): row is FailedMethod {
  return "error" in row;
}

/** Bits of weights, activations and cache, such as `4/8/16`; a dash where a method does not say. */
export function codeBits({ weightBits, activationBits, cacheBits }: MeasuredMethod): string {
  return [weightBits, activationBits, cacheBits].map((bits) => bits ?? "–").join("/");
}

/** A perplexity to four digits or so; a broken model's may be astronomic. */
export function formatPerplexity(value: number): string {
  return value < 1000 ? value.toFixed(2) : value < 1e6 ? value.toFixed(0) : value.toExponential(1);
}

/** The cells of a row. */
function cells(row: ComparisonRow): string[] {
  if (hasFailed(row)) {
    return [row.method, "–", "–", `failed: ${row.error}`, "–", "–", "–", row.seconds.toFixed(1)];
  }
  return [
    row.method,
    codeBits(row),
    row.bitsPerWeight.toFixed(2),
    formatPerplexity(row.perplexity),
    row.divergence.toFixed(4),
    row.outputError.toFixed(4),
    row.worstOutputError.toFixed(4),
    row.seconds.toFixed(1),
  ];
}

/** A table for a terminal. */
export function comparisonTable(rows: readonly ComparisonRow[]): string {
  return formatTable(COLUMNS, rows.map(cells));
}

/** A table in Markdown. */
export function comparisonMarkdown(rows: readonly ComparisonRow[]): string {
  const line = (texts: readonly string[]): string => `| ${texts.join(" | ")} |`;
  return [
    line(COLUMNS.map(([heading]) => heading)),
    line(COLUMNS.map(([, alignment]) => alignment === "right" ? "---:" : "---")),
    ...rows.map((row) => line(cells(row).map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")))),
  ].join("\n");
}

/** One line for a log. */
export function describeRow(row: ComparisonRow): string {
  if (hasFailed(row)) return `${row.method}: failed: ${row.error}`;
  return `${row.method}: perplexity ${formatPerplexity(row.perplexity)} at ${
    row.bitsPerWeight.toFixed(2)
  } bits per weight, ${row.seconds.toFixed(1)} s`;
}
