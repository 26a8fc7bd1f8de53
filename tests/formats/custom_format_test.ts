// The example of a format of one's own, run as a user would run it.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";

const EXAMPLE = fileURLToPath(new URL("../../examples/custom_format.ts", import.meta.url));

Deno.test("examples/custom_format.ts takes its format through clip search, GPTQ and a backend", async () => {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", EXAMPLE],
    stderr: "piped",
  });
  const { success, stdout, stderr } = await command.output();
  const text = new TextDecoder().decode(stdout);
  assert(success, new TextDecoder().decode(stderr));

  const row = text.split("\n").find((line) => line.startsWith("power4 ")) ?? "";
  const [rounding, clipping, compensation] = [...row.matchAll(/([\d.]+)%/g)].map((match) => Number(match[1]));
  assert(clipping < rounding && compensation < 0.9 * clipping, row);
  assertMatch(text, /power4 at 4\.5 bits per weight on (webgpu|reference) \(/);
});

Deno.test("examples/custom_format.ts defines its format in at most ten lines", async () => {
  const source = await Deno.readTextFile(EXAMPLE);
  const definition = source.match(/const power4 = [\s\S]*?\n\}\);\n/)?.[0] ?? "";
  assert(definition.includes("defineCodebook"), "the definition is there");
  assertEquals(definition.trimEnd().split("\n").length <= 10, true);
});
