// Tables for people, on standard output.
import process from "node:process";
import Table from "cli-table3";

/** How a column stands. */
export type Alignment = "left" | "right";

/**
 * A table as text.
 *
 * @param columns Heading and alignment of each column.
 * @param rows Cells, as shown.
 * @returns Lines joined by line breaks.
 */
export function formatTable(
  columns: readonly (readonly [heading: string, alignment: Alignment])[],
  rows: readonly (readonly string[])[],
): string {
  const colors = process.stdout.isTTY && !process.env.NO_COLOR;
  const table = new Table({
    head: columns.map(([heading]) => heading),
    colAligns: columns.map(([, alignment]) => alignment),
    style: colors
      ? { head: ["bold"], border: ["gray"], compact: true }
      : { head: [], border: [], compact: true },
  });
  table.push(...rows.map((row) => [...row]));
  return table.toString();
}

/** A number of bytes for a person: `1.4 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
