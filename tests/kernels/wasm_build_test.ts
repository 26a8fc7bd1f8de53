// The committed bytes of the kernels are what their sources compile to.
import { buildBytes } from "../../kernels/wasm/build.ts";
import { assert } from "@std/assert";

Deno.test("buildBytes() gives the committed kernels", async () => {
  const committed = await Deno.readTextFile(new URL("../../kernels/wasm/_bytes.ts", import.meta.url));
  assert(await buildBytes() === committed, "kernels/wasm/_bytes.ts is stale: run deno task build:wasm");
});
