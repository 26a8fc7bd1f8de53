// The files of a finished comparison: a table for people, one for machines, and a page to look at.
import { join } from "node:path";
import { writeDirectory, writeSmallFile } from "../../io/mod.ts";
import { comparisonMarkdown } from "../comparison_table.ts";
import { type Comparison, describeSettings } from "./comparison.ts";
import { reportPage } from "./page.ts";

/**
 * Writes `comparison.md`, `comparison.json` and `report.html`.
 *
 * @param directory Where to: a path that does not exist, or an empty directory.
 * @param comparison What was found.
 */
export async function writeReport(directory: string, comparison: Comparison): Promise<void> {
  const { settings, floatPerplexity, rows } = comparison;
  const files = {
    "comparison.md": `${describeSettings(settings)}\n\n${comparisonMarkdown(rows)}\n`,
    "comparison.json": `${JSON.stringify({ settings, floatPerplexity, rows }, null, 1)}\n`,
    "report.html": await reportPage(comparison),
  };
  await writeDirectory(directory, async (temporary) => {
    for (const [name, text] of Object.entries(files)) await writeSmallFile(join(temporary, name), text);
  });
}
