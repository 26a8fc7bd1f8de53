// `quik compare` as a user runs it, shortened: some of the methods of the README's tables, on few and short windows.
import { assert, assertAlmostEquals, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { DEMO, quik, ROOT, VALID } from "./_quik_process.ts";

const METHODS = ["float", "rtn-w8", "rtn-w4", "gptq-w4", "rtn-w3", "rtn-w4a4", "kivi-kv2"];
const EVALUATION = ["--windows", "2", "--window", "256", "--backend", "wasm"];
const SHORT = [...EVALUATION, "--calibration-windows", "6"];

interface Row {
  readonly method: string;
  readonly bitsPerWeight: number;
  readonly perplexity: number;
  readonly outputError: number;
  readonly worstOutputError: number;
  readonly divergence: number;
  readonly seconds: number;
  readonly error?: string;
}

async function moduleFile(source: string): Promise<string> {
  const path = join(await Deno.makeTempDir(), "method.ts");
  await Deno.writeTextFile(path, source);
  return path;
}

Deno.test("quik compare runs methods and a user's own, survives a failing one, and writes a report", async () => {
  const failing = await moduleFile(
    `export const method = { name: "hopeless", quantize: () => Promise.reject(new Error("it was too hard")) };`,
  );
  const out = join(await Deno.makeTempDir(), "report");
  const { code, stdout, stderr } = await quik(
    ...["compare", DEMO, "--text", VALID, ...SHORT, "--methods", METHODS.join(","), "--json", "--out", out],
    ...["--method-file", join(ROOT, "examples/custom_method.ts"), "--method-file", failing],
  );
  assertEquals(code, 0, stderr);
  const rows: Row[] = JSON.parse(stdout);
  assertEquals(rows.map(({ method }) => method), [...METHODS, "gptq-shift4-a8", "hopeless"]);
  assertStringIncludes(rows[rows.length - 1].error!, "it was too hard");
  for (const row of rows.slice(0, -1)) {
    const { bitsPerWeight, perplexity, outputError, worstOutputError, divergence, seconds } = row;
    const numbers = [bitsPerWeight, perplexity, outputError, worstOutputError, divergence, seconds];
    assert(numbers.every(Number.isFinite), row.method);
  }
  checkOrder(rows);
  await checkReadme(rows, 0);

  const table = JSON.parse(await Deno.readTextFile(join(out, "comparison.json")));
  assertEquals(table.rows, rows);
  assertStringIncludes(await Deno.readTextFile(join(out, "comparison.md")), "| rtn-w4a4 | ");
  const page = await Deno.readTextFile(join(out, "report.html"));
  for (const { method } of rows) assertStringIncludes(page, method);
  assertEquals(page.match(/<svg /g)?.length, 4);
  assert(!/(src|href)="(?!data:)/.test(page.replaceAll(/xlink:href="#/g, "")), "the page loads nothing");
});

/** What holds on any windows of this model. */
function checkOrder(rows: readonly Row[]): void {
  const of = (name: string): Row => rows.find(({ method }) => method === name)!;
  assertEquals([of("float").bitsPerWeight, of("float").divergence, of("kivi-kv2").outputError], [16, 0, 0]);
  const rising = ["float", "rtn-w8", "gptq-w4", "rtn-w4", "rtn-w3"];
  for (const [i, name] of rising.slice(1).entries()) {
    assertLess(of(rising[i]).outputError, of(name).outputError);
    assertLess(of(rising[i]).divergence, of(name).divergence);
  }
  assertLess(1.1 * of("rtn-w4").perplexity, of("rtn-w4a4").perplexity);
  assertLess(of("gptq-shift4-a8").bitsPerWeight, 5);
}

/** The rows of a table of the README: perplexity and bits per weight by method. */
async function readmeTable(index: number): Promise<Map<string, { bits: number; perplexity: number }>> {
  const readme = await Deno.readTextFile(join(ROOT, "README.md"));
  const tables = readme.matchAll(/^\| method +\|.*\n\|.*\n((?:\|.*\n)+)/gm).toArray();
  const lines = tables[index][1].trim().split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  return new Map(
    lines.map((
      [, method, , bits, perplexity],
    ) => [method, { bits: Number(bits), perplexity: Number(perplexity) }]),
  );
}

/** What the README says holds here too: sizes, and the order of methods that it puts a tenth apart. */
async function checkReadme(rows: readonly Row[], table: number): Promise<void> {
  const told = await readmeTable(table);
  const known = rows.filter(({ method }) => told.has(method));
  assert(known.length >= 3, "the README tells of these methods");
  for (const better of known) {
    const { bits, perplexity } = told.get(better.method)!;
    if (better.method !== "float") assertAlmostEquals(better.bitsPerWeight, bits, 0.006, better.method);
    for (const worse of known) {
      if (told.get(worse.method)!.perplexity < 1.1 * perplexity) continue;
      assertLess(better.perplexity, worse.perplexity, `${better.method} before ${worse.method}`);
    }
  }
}

Deno.test("quik compare --amplify gives the model outliers and changes nothing else", async () => {
  const methods = ["--methods", "float,rtn-w4a4,quik-w4a4,quarot-w4a4", "--json"];
  const compared = await quik("compare", DEMO, "--text", VALID, ...SHORT, ...methods, "--amplify");
  const evaluated = await quik("eval", DEMO, "--text", VALID, ...EVALUATION, "--json");
  assertEquals([compared.code, evaluated.code], [0, 0], compared.stderr);
  const [float, rounding, quikRow, quarot]: Row[] = JSON.parse(compared.stdout);
  assertLess(Math.abs(float.perplexity / JSON.parse(evaluated.stdout).perplexity - 1), 1e-5);
  assertLess(1.5 * quikRow.perplexity, rounding.perplexity);
  // Rotating the model folds the gains that make the outliers, so it errs as it does without them.
  assertLess(quarot.perplexity, 1.15 * float.perplexity);
  await checkReadme([float, rounding, quikRow], 1);
});

const BAD_INPUT: readonly { name: string; args: () => Promise<string[]>; says: string }[] = [
  {
    name: "an unknown method",
    args: () => Promise.resolve(["--methods", "rtn-w4,magic"]),
    says: `Cannot find a method named "magic"`,
  },
  {
    name: "a method given twice",
    args: () => Promise.resolve(["--methods", "rtn-w4,rtn-w4"]),
    says: "two methods of the name rtn-w4",
  },
  {
    name: "a method file that exports no method",
    args: async () => ["--method-file", await moduleFile("export default { quantize: 4 };")],
    says: "must be an object with a name and quantize()",
  },
  {
    name: "a method file that does not exist",
    args: () => Promise.resolve(["--method-file", "/no/such/method.ts"]),
    says: "Cannot load /no/such/method.ts",
  },
  {
    name: "an output directory that is not empty",
    args: () => Promise.resolve(["--out", DEMO]),
    says: "not empty",
  },
];

for (const { name, args, says } of BAD_INPUT) {
  Deno.test(`quik compare says in one line what is wrong with ${name}`, async () => {
    const { code, stdout, stderr } = await quik("compare", DEMO, "--text", VALID, ...await args());
    assertEquals([code, stdout], [1, ""], stderr);
    assertStringIncludes(stderr, says);
    assertEquals(stderr.split("\n").filter((line) => line.startsWith("error: ")).length, 1);
  });
}
