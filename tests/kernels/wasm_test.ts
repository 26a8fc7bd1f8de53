// The wasm backend, both builds of it, with and without threads, against the suite that every backend passes.
import { createWasmBackend } from "../../kernels/mod.ts";
import { WasmBackend } from "../../kernels/wasm/_backend.ts";
import { instantiate, loadModule } from "../../kernels/wasm/_module.ts";
import { Pool } from "../../kernels/wasm/_pool.ts";
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { conformanceCases } from "./_cases.ts";
import { runCase, runConformance } from "./conformance.ts";

runConformance("wasm (relaxed SIMD, threads)", () => createWasmBackend());
runConformance("wasm (SIMD, one thread)", () => createWasmBackend({ relaxedSimd: false, threads: 1 }));

Deno.test("integer ops are exact where the dot product takes seven bits only", async () => {
  const module = await loadModule({ shared: false, relaxed: true });
  const exports = await instantiate(module);
  const narrow = { ...exports, dot_takes_bytes: () => 0 };
  const pool = await Pool.start(module, { exports, threads: 1 });
  using backend = new WasmBackend(module, narrow, pool);
  using wide = await createWasmBackend({ threads: 1 });
  for (const testCase of conformanceCases()) {
    if (!["integer_matmul", "affine_linear", "grouped_linear"].includes(testCase.spec.op)) continue;
    assertEquals(await runCase(backend, testCase), await runCase(wide, testCase));
  }
});

Deno.test("createWasmBackend() names the build and the threads", async () => {
  using plain = await createWasmBackend({ relaxedSimd: false, threads: 1 });
  assertEquals(plain.features.has("relaxed-simd"), false);
  assertEquals(plain.description, "WebAssembly SIMD, 1 thread");
  using threaded = await createWasmBackend({ threads: 3 });
  assertStringIncludes(threaded.description, "3 threads");
  await assertRejects(() => createWasmBackend({ threads: 0 }), RangeError, "Cannot use 0 threads");
});

Deno.test("createWasmBackend() does without threads where memory cannot be shared", async () => {
  const { SharedArrayBuffer } = globalThis;
  try {
    Object.defineProperty(globalThis, "SharedArrayBuffer", { value: undefined, configurable: true });
    using backend = await createWasmBackend({ threads: 2 });
    assertStringIncludes(backend.description, "1 thread");
  } finally {
    Object.defineProperty(globalThis, "SharedArrayBuffer", {
      value: SharedArrayBuffer,
      configurable: true,
      writable: true,
    });
  }
});

Deno.test("allocate() hands freed memory out again and refuses what exceeds it", async () => {
  using backend = await createWasmBackend({ threads: 1 });
  for (let i = 0; i < 100; i++) backend.allocate(512 * 2 ** 20).dispose();
  const buffers = Array.from({ length: 4 }, (_, i) => backend.allocate(100 * (i + 1)));
  buffers.forEach((buffer, i) => backend.write(buffer, new Uint8Array(100 * (i + 1)).fill(i)));
  buffers[1].dispose();
  buffers[1].dispose();
  using again = backend.allocate(200);
  backend.write(again, new Uint8Array(200).fill(9));
  assertEquals(new Uint8Array(await backend.read(buffers[0])), new Uint8Array(100).fill(0));
  assertEquals(new Uint8Array(await backend.read(buffers[2])), new Uint8Array(300).fill(2));
  assertThrows(() => backend.allocate(2 ** 32), RangeError, "Cannot allocate 4294967296 bytes");
  assertThrows(() => backend.write(buffers[1], new Uint8Array(4)), TypeError, "disposed");
});

Deno.test("dispatch() refuses buffers of another backend and indices out of range", async () => {
  using backend = await createWasmBackend({ threads: 1 });
  using other = await createWasmBackend({ threads: 1 });
  using table = backend.allocate(16);
  using ids = backend.allocate(4);
  using y = backend.allocate(8);
  using foreign = other.allocate(8);
  backend.write(ids, Uint32Array.of(2));
  const kernel = await backend.prepare({ op: "gather_rows", rows: 1, columns: 2, tableType: "float32" });
  assertThrows(() => backend.dispatch(kernel, [table, ids], [foreign]), TypeError, "another backend");
  assertThrows(() => backend.dispatch(kernel, [table, ids], [y]), RangeError, "Cannot use row 2");
});

Deno.test("inverse_factor marks a matrix that is not positive definite", async () => {
  using backend = await createWasmBackend({ threads: 1 });
  const [pivots] = (await runCase(backend, {
    spec: { op: "inverse_factor", size: 2 },
    inputs: [Float32Array.of(1, 2, 2, 1), Uint32Array.of(0, 1), Float32Array.of(0)],
    comparisons: ["float", "float"],
  })).slice(1);
  assertEquals(new Float32Array(pivots), Float32Array.of(NaN, NaN));
});
