// Every shader against the other WebGPU implementation's compiler, which refuses what Deno's lets pass: reserved words,
// and barriers that not all invocations reach.
import { assert, assertEquals, assertGreater } from "@std/assert";

Deno.test("Dawn compiles the shader of every variant, and takes a buffer that is read twice", async () => {
  const script = new URL("_compile_with_dawn.ts", import.meta.url);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", script.pathname],
  }).output();
  const line = new TextDecoder().decode(stdout).split("\n").find((text) => text.startsWith("RESULT "));
  assert(line !== undefined, new TextDecoder().decode(stderr));
  const { missing, compiled, refused } = JSON.parse(line.slice("RESULT ".length));
  if (missing) {
    assert(Deno.env.get("QUIK_REQUIRE_GPU") !== "1", "QUIK_REQUIRE_GPU is set, and npm:webgpu does not load");
    return console.warn("npm:webgpu has no binary for this platform: nothing compiled");
  }
  assertEquals(refused, []);
  assertGreater(compiled, 300);
});
