// The marks of bench/README.md, and the figures that README.md names, say what bench/results/h100.json holds. GPTQ is measured by
// a program of its own, which leaves no file here.
import { assert, assertEquals } from "@std/assert";

interface Result {
  readonly table: string;
  readonly name: string;
  readonly shape: readonly number[];
  readonly microseconds: { readonly median: number };
  readonly rate: number;
  readonly ofCeiling: number;
}

const read = (path: string): string => Deno.readTextFileSync(new URL(`../${path}`, import.meta.url));
const { dawn, deno }: Record<string, { readonly results: readonly Result[] }> = JSON.parse(
  read("bench/results/h100.json"),
);

function find(run: { readonly results: readonly Result[] }, name: string, ...shape: number[]): Result {
  const result = run.results.find((result) =>
    result.name === name && result.table !== "few tokens" && result.shape.join() === shape.join()
  );
  assert(result, `${name} of ${shape} was measured`);
  return result;
}

const PREFILL = [[2048, 4096, 4096], [2048, 11008, 4096], [2048, 8192, 8192]];
const DECODE = [[1, 28672, 8192], [1, 8192, 8192], [1, 11008, 4096], [1, 4096, 4096]];
const LAYERS = ["W4A16", "QUIK W4A4 layer"];

const percent = ({ ofCeiling }: Result): string => `${(100 * ofCeiling).toFixed(0)}%`;
const tera = ({ rate }: Result): string => (rate / 1e12).toFixed(0);
const micro = ({ microseconds }: Result): string => microseconds.median.toFixed(1);
const times = (fast: Result, slow: Result): number => slow.microseconds.median / fast.microseconds.median;
/** Two digits where one would not say on which side of the mark it is. */
const besideMark = (ratio: number): string => ratio.toFixed(Math.abs(ratio - 3.1) < 0.05 ? 2 : 1);

function span(values: readonly number[], digits: number): string {
  return `${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)}`;
}

/** "W4A16 a, W4A4 b (Deno's own c and d)". */
function both(figure: (result: Result) => string, ...shape: number[]): string {
  const [a, b] = LAYERS.map((name) => figure(find(dawn, name, ...shape)));
  const [c, d] = LAYERS.map((name) => figure(find(deno, name, ...shape)));
  return `W4A16 ${a}, W4A4 ${b} (Deno's own ${c} and ${d})`;
}

function ratios(): string {
  return DECODE.map((shape) => {
    const slow = find(dawn, "dense f16", ...shape);
    const [a, b] = LAYERS.map((name) => besideMark(times(find(dawn, name, ...shape), slow)));
    return `${shape[1]} x ${shape[2]}: ${a} and ${b}`;
  }).join("; ");
}

const quik = find(dawn, "QUIK W4A4 layer", ...PREFILL[0]);
const dense = find(dawn, "dense f16", ...PREFILL[0]);
const ofDense = times(quik, dense).toFixed(1);

const marks: readonly (readonly [mark: string, figure: string])[] = [
  ["Deno's own, dense f32", percent(find(deno, "dense f32", 4096, 4096, 4096))],
  [
    "Deno's own, integer products",
    `${
      span(
        PREFILL.flatMap((shape) =>
          ["W4A4", "W4A8", "W8A8"].map((codes) => 100 * find(deno, `integer ${codes}`, ...shape).ofCeiling)
        ),
        0,
      )
    }%`,
  ],
  [
    "Deno's own, QUIK W4A4 layer",
    `${
      span(
        PREFILL.map((shape) =>
          times(find(deno, "QUIK W4A4 layer", ...shape), find(deno, "dense f32", ...shape))
        ),
        1,
      )
    } x`,
  ],
  ["Dawn, dense f16", PREFILL.map((shape) => tera(find(dawn, "dense f16", ...shape))).join(", ")],
  ["Dawn, integer W4A4", PREFILL.map((shape) => tera(find(dawn, "integer W4A4", ...shape))).join(", ")],
  ["Dawn, QUIK W4A4 layer", `${tera(quik)} (${ofDense} x dense f16)`],
  ["decode 28672 x 8192", both(percent, ...DECODE[0])],
  ["decode 8192 x 8192", both(percent, ...DECODE[1])],
  ["decode 4096 x 4096", both(micro, ...DECODE[3])],
  ["decode, 3.1 x dense f16", ratios()],
  [
    "dense f16 decode",
    DECODE.slice(0, 2).map((shape) => percent(find(dawn, "dense f16", ...shape))).join(" and "),
  ],
];

Deno.test("the marks of bench/README.md show what was measured", () => {
  const [section] = read("bench/README.md").split("\n### The marks\n")[1].split("\n### ");
  const rows = section.split("\n").filter((line) => line.startsWith("| ")).slice(1).map((line) =>
    line.split("|").map((cell) => cell.trim())
  );
  for (const [mark, figure] of marks) {
    const found = rows.filter(([, name]) => name.startsWith(`${mark}`));
    assertEquals(found.map(([, , cell]) => cell), [figure], mark);
  }
});

Deno.test("README.md names what was measured", () => {
  const text = read("README.md").replaceAll("\n", " ");
  const slow = find(dawn, "dense f16", ...DECODE[0]);
  const [weights, layer] = LAYERS.map((name) => times(find(dawn, name, ...DECODE[0]), slow).toFixed(1));
  for (
    const claim of [
      `reaches ${tera(quik)} TOP/s over 2048 tokens`,
      `${ofDense} times our own float16 product (${tera(dense)})`,
      `decodes ${layer} times as fast as in float16 (${weights} times with 4-bit weights`,
    ]
  ) {
    assert(text.includes(claim), claim);
  }
});
