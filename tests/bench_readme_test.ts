// The GPU tables of bench/README.md say what bench/results/h100.json holds.
import { assert, assertEquals } from "@std/assert";

interface Result {
  readonly table: string;
  readonly name: string;
  readonly shape: readonly [tokens: number, outputs: number, inputs: number];
  readonly microseconds: { readonly median: number };
  readonly rate: number;
  readonly ofCeiling: number;
}

const read = (path: string): string => Deno.readTextFileSync(new URL(`../bench/${path}`, import.meta.url));
const results: Record<string, { readonly results: readonly Result[] }> = JSON.parse(
  read("results/h100.json"),
);

for (const [key, title] of [["dawn", "Dawn"], ["deno", "Deno's own"]]) {
  Deno.test(`the tables of ${title} in bench/README.md show what was measured`, () => {
    const measured = results[key].results.filter(({ table }) => table !== "few tokens");
    const rows = tableRows(read("README.md").split(`\n#### ${title}\n`)[1].split("\n#### ")[0]);
    for (const result of measured) {
      const shape = result.shape.join(" x ");
      const row = rows.find(([name, at]) => name === result.name && at === shape);
      assert(row, `no row for ${result.name} ${shape}`);
      const digits = result.shape[0] > 1 ? 0 : 2;
      assertEquals(row.slice(2, 5), [
        result.microseconds.median.toFixed(1),
        (result.rate / 1e12).toFixed(digits),
        `${(100 * result.ofCeiling).toFixed(0)}%`,
      ], `${result.name} ${shape}`);
    }
    assertEquals(rows.filter(([, shape]) => /^\d+ x \d+ x \d+$/.test(shape)).length, measured.length);
  });
}

function tableRows(text: string): string[][] {
  return text.split("\n").filter((line) => line.startsWith("|")).map((line) =>
    line.slice(1, -1).split("|").map((cell) => cell.trim())
  );
}
