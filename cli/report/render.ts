// From a chart's description to SVG, with Vega-Lite; no browser is needed.
import type { TopLevelSpec } from "vega-lite";
import { CHART_CONFIG } from "./theme.ts";

/**
 * Draws a chart.
 *
 * @param spec What to draw.
 * @param label What it shows, for people who do not see it.
 * @returns An SVG element.
 */
export async function renderSvg(spec: Omit<TopLevelSpec, "config">, label: string): Promise<string> {
  const [{ compile }, { parse, View }] = await Promise.all([import("vega-lite"), import("vega")]);
  const compiled = compile({ ...spec, config: CHART_CONFIG } as TopLevelSpec).spec;
  const view = new View(parse(compiled), { renderer: "none" });
  try {
    const svg = await view.toSVG();
    return svg.replace("<svg ", `<svg role="img" aria-label="${escapeHtml(label)}" `);
  } finally {
    view.finalize();
  }
}

/** Text as it may stand in HTML, in attributes too. */
export function escapeHtml(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (character) => entities[character]);
}
