// The page: pictures first, each with a sentence on what one sees, the table behind them.
import type { ComparisonRow, MeasuredMethod } from "../../models/mod.ts";
import { codeBits, formatPerplexity, hasFailed } from "../comparison_table.ts";
import { absmaxChart } from "./absmax_chart.ts";
import { type Comparison, describeSettings } from "./comparison.ts";
import { errorChart } from "./error_chart.ts";
import { PAGE_SCRIPT, PAGE_STYLE } from "./page_style.ts";
import { qualityChart } from "./quality_chart.ts";
import { escapeHtml, renderSvg } from "./render.ts";
import { weightsChart } from "./weights_chart.ts";

/**
 * A self-contained HTML page.
 *
 * @param comparison What was found.
 * @returns The page.
 */
export async function reportPage(comparison: Comparison): Promise<string> {
  const { settings, rows, layers, floatPerplexity } = comparison;
  const measured = rows.filter((row): row is MeasuredMethod => !hasFailed(row));
  const quantized = measured.filter((row) => row.weightBits !== 16 || row.cacheBits !== 16);
  const title = `${rows.length} ways to quantize ${
    settings.model.split(/[\\/]/).findLast(Boolean) ?? "a model"
  }`;
  const errors = errorChart(measured);
  const sections = [
    quantized.length > 0 && await section(
      "Size and perplexity",
      `Every point is a method. Further left is smaller, further down is closer to the float model, whose perplexity is ${
        floatPerplexity.toFixed(2)
      }: the scale shows the distance from it, and is logarithmic.`,
      qualityChart(quantized, floatPerplexity),
    ),
    tableSection(rows, floatPerplexity),
    errors && await section(
      "Error of each layer",
      "How far each layer's output moves when only that layer is quantized, on inputs of the float model. The gentlest method stands on top.",
      errors,
    ),
    await section(
      "What goes into the layers",
      "The largest magnitude of every input column during calibration. Red columns are those that QUIK keeps in 16 bits: one outlier sets the step of a whole token.",
      absmaxChart(layers),
    ),
    await section(
      "Weights and the grids laid over them",
      "Gray is where the weights are, blue lines are the values that a format can take. A good grid has its lines where the weights are many.",
      weightsChart(layers[layers.length >> 1]),
    ),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(describeSettings(settings))} The whole comparison took ${formatMinutes(settings.seconds)}.</p>
</header>
<main>
${sections.filter(Boolean).join("\n")}
</main>
<div id="tip" hidden></div>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;
}

type Chart = Parameters<typeof renderSvg>[0];

async function section(heading: string, caption: string, chart: Chart): Promise<string> {
  const svg = await renderSvg(chart, heading);
  return `<section>
<h2>${escapeHtml(heading)}</h2>
<p>${escapeHtml(caption)}</p>
<figure>${svg}</figure>
</section>`;
}

/** Best perplexity first; failures last. */
function tableSection(rows: readonly ComparisonRow[], floatPerplexity: number): string {
  const measured = rows.filter((row): row is MeasuredMethod => !hasFailed(row));
  const worst = Math.log(1 + Math.max(0, ...measured.map(({ divergence }) => divergence)));
  const lines = measured
    .toSorted((a, b) => a.perplexity - b.perplexity)
    .map((row) => tableRow(row, { worst, floatPerplexity }));
  const failures = rows.filter(hasFailed).map(({ method, error }) =>
    `<tr class="failed"><th>${escapeHtml(method)}</th><td colspan="8">failed: ${escapeHtml(error)}</td></tr>`
  );
  return `<section>
<h2>All methods</h2>
<p>W/A/KV are the bits of a weight, an activation and a cached number. Bits per weight count everything stored. The bars show the divergence of predictions from the float model's.</p>
<table>
<thead><tr><th>method</th><th>W/A/KV</th><th>bits per weight</th><th>perplexity</th><th>above float</th><th class="wide">KL of logits</th><th>output error, mean</th><th>worst</th><th>seconds</th></tr></thead>
<tbody>
${[...lines, ...failures].join("\n")}
</tbody>
</table>
</section>`;
}

function tableRow(
  row: MeasuredMethod,
  scale: { readonly worst: number; readonly floatPerplexity: number },
): string {
  const { worst, floatPerplexity } = scale;
  const factor = row.perplexity / floatPerplexity;
  const above = factor > 100
    ? `× ${factor.toPrecision(2)}`
    : `${((factor - 1) * 100).toFixed(1).replace("-0.0", "0.0")}%`;
  const length = worst > 0 ? Math.log(1 + row.divergence) / worst * 100 : 0;
  const kind = row.activationBits === 16 ? row.weightBits === 16 ? "cache" : "weights" : "activations";
  const percent = (error: number): string => `${(error * 100).toFixed(1)}%`;
  return `<tr><th>${escapeHtml(row.method)}</th><td>${codeBits(row)}</td><td>${
    row.bitsPerWeight.toFixed(2)
  }</td>` +
    `<td>${formatPerplexity(row.perplexity)}</td><td>${above}</td>` +
    `<td class="wide"><span class="bar ${kind}" style="width:${
      length.toFixed(1)
    }%"></span><span class="value">${row.divergence.toFixed(3)}</span></td><td>${
      percent(row.outputError)
    }</td><td>${percent(row.worstOutputError)}</td><td>${row.seconds.toFixed(1)}</td></tr>`;
}

function formatMinutes(seconds: number): string {
  if (seconds < 100) return `${seconds.toFixed(0)} seconds`;
  return `${(seconds / 60).toFixed(1)} minutes`;
}
