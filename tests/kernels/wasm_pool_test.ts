// The threads of the wasm backend: equal results for any number of them, and failures that stay in their call.
import { createWasmBackend, type KernelSpec } from "../../kernels/mod.ts";
import { instantiate, loadModule } from "../../kernels/wasm/_module.ts";
import { Pool } from "../../kernels/wasm/_pool.ts";
import { createRandom } from "../../quant/mod.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { normals } from "./_inputs.ts";
import { runCase } from "./conformance.ts";

Deno.test("dispatch() gives the same bytes on one, two and five threads", async () => {
  const random = createRandom(3);
  const spec: KernelSpec = {
    op: "dense_linear",
    rows: 128,
    columns: 301,
    inner: 260,
    weightType: "float32",
    bias: false,
  };
  const inputs = [normals(random, 128 * 260), normals(random, 301 * 260)];
  const results: ArrayBuffer[][] = [];
  for (const threads of [1, 2, 5]) {
    using backend = await createWasmBackend({ threads });
    results.push(await runCase(backend, { spec, inputs, comparisons: ["float"] }));
  }
  assertEquals(results[1], results[0]);
  assertEquals(results[2], results[0]);
});

Deno.test("Pool.run() throws what failed on a worker, and works again afterwards", async () => {
  const module = await loadModule({ shared: true, relaxed: true });
  const exports = await instantiate(module);
  const still = new Int32Array(new SharedArrayBuffer(4));
  let hostSleeps = true;
  // While the host sleeps in its first share, the worker claims all others.
  const add = (...args: number[]) => hostSleeps ? (Atomics.wait(still, 0, 0, 50), 0) : exports.add(...args);
  using pool = await Pool.start(module, { exports: { ...exports, add }, threads: 2 });
  const outside = 2 ** 31;
  const call = { kernel: "add", units: 64, threads: 2, scratch: 0, scratchStride: 0 };
  assertThrows(
    () => pool.run({ ...call, args: [outside, outside, outside, 256] }),
    Error,
    "Cannot finish add: RuntimeError",
  );
  hostSleeps = false;
  const values = new Float32Array(module.memory.buffer, 65536, 512);
  values.fill(1.5);
  pool.run({ ...call, args: [65536, 65536, 65536 + 1024, 256] });
  assertEquals(values.slice(256), new Float32Array(256).fill(3));
});

Deno.test("Pool.run() throws what failed on the host after the workers have stopped", async () => {
  const module = await loadModule({ shared: true, relaxed: true });
  const exports = await instantiate(module);
  const add = () => {
    throw new RangeError("host");
  };
  using pool = await Pool.start(module, { exports: { ...exports, add }, threads: 2 });
  const call = { kernel: "add", units: 64, threads: 2, scratch: 0, scratchStride: 0 };
  assertThrows(() => pool.run({ ...call, args: [65536, 65536, 66560, 256] }), RangeError, "host");
});
