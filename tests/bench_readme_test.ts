// The GPU tables of bench/README.md say what bench/results/h100.json holds.
import { assert, assertEquals } from "@std/assert";

interface Result {
  readonly table: string;
  readonly name: string;
  readonly shape: readonly [tokens: number, outputs: number, inputs: number];
  readonly variants: readonly string[];
  readonly microseconds: { readonly median: number };
  readonly rate: number;
  readonly ofCeiling: number;
}

interface Run {
  readonly ceilings: readonly { readonly name: string; readonly rate: number; readonly unit: string }[];
  readonly results: readonly Result[];
}

const read = (path: string): string => Deno.readTextFileSync(new URL(`../bench/${path}`, import.meta.url));
const runs: Record<string, Run> = JSON.parse(read("results/h100.json"));

for (const [key, title, dense] of [["dawn", "Dawn", "dense f16"], ["deno", "Deno's own", "dense f32"]]) {
  const { results, ceilings } = runs[key];
  const section = read("README.md").split(`\n#### ${title}\n`)[1].split("\n#### ")[0];
  const rows = tableRows(section);
  const at = ({ shape }: Result): string => shape.join(" x ");

  Deno.test(`the tables of ${title} in bench/README.md show what was measured`, () => {
    const measured = results.filter(({ table }) => table !== "few tokens");
    for (const result of measured) {
      const row = rows.find(([name, shape]) => name === result.name && shape === at(result));
      assert(row, `no row for ${result.name} ${at(result)}`);
      const baseName = result.table === "prefill" ? dense : "dense f16";
      const base = measured.find((other) => other.name === baseName && at(other) === at(result));
      const isBase = base === undefined || result.name.startsWith("dense");
      assertEquals(row.slice(2), [
        result.microseconds.median.toFixed(1),
        (result.rate / 1e12).toFixed(result.table === "prefill" ? 0 : 2),
        `${(100 * result.ofCeiling).toFixed(0)}%`,
        isBase ? "" : (base.microseconds.median / result.microseconds.median).toFixed(1),
        result.variants.join(", "),
      ], `${result.name} ${at(result)}`);
    }
    assertEquals(rows.filter(([, shape]) => /^\d+ x \d+ x \d+$/.test(shape)).length, measured.length);
  });

  Deno.test(`the few-token table of ${title} in bench/README.md shows what was measured`, () => {
    const measured = results.filter(({ table }) => table === "few tokens");
    const header = rows.findLast(([first]) => first === "kernel, 4096 x 4096")!;
    const tokens = header.slice(1).map((cell) => Number.parseInt(cell));
    for (const name of new Set(measured.map((result) => result.name))) {
      const median = (count: number): string =>
        measured.find((result) => result.name === name && result.shape[0] === count)!
          .microseconds.median.toFixed(1);
      const row = rows.findLast(([first]) => first === name)!;
      assertEquals(row.slice(1), tokens.map(median), name);
    }
  });

  Deno.test(`the ceilings of ${title} in bench/README.md are those measured`, () => {
    const [text] = section.replaceAll("\n", " ").match(/Ceilings: .*? TB\/s/)!;
    for (const { name, rate } of ceilings) {
      const tera = rate / 1e12;
      const shown = [tera.toFixed(2), tera.toFixed(1), Math.round(tera).toLocaleString("en-US")];
      const label = name.replace(" multiply-add", "");
      const found = shown.some((figure) =>
        text.includes(`${label} ${figure} `) || text.includes(`\`${label}\` ${figure} `)
      );
      assert(found, `${name} ${tera} in: ${text}`);
    }
  });
}

function tableRows(text: string): string[][] {
  return text.split("\n").filter((line) => line.startsWith("|")).map((line) =>
    line.slice(1, -1).split("|").map((cell) => cell.trim())
  );
}
