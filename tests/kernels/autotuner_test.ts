// The autotuner: what it chooses, remembers and leaves alone.
import {
  createAutotuner,
  createWebGpuBackend,
  type KernelSpec,
  tuningKey,
  type TuningTable,
} from "../../kernels/mod.ts";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { gpuTest } from "./_gpu.ts";

const SPEC: KernelSpec = {
  op: "integer_matmul",
  rows: 40,
  columns: 64,
  inner: 64,
  activationBits: 4,
  weightBits: 4,
};

Deno.test("tuningKey() puts specs into one class that differ in rows within a power of two", () => {
  assertEquals(tuningKey("gpu", SPEC), tuningKey("gpu", { ...SPEC, rows: 64 }));
  assertNotEquals(tuningKey("gpu", SPEC), tuningKey("gpu", { ...SPEC, rows: 65 }));
  assertNotEquals(tuningKey("gpu", SPEC), tuningKey("gpu", { ...SPEC, inner: 96 }));
  assertNotEquals(tuningKey("gpu", SPEC), tuningKey("other gpu", SPEC));
});

gpuTest("createAutotuner() takes the fastest candidate and remembers it", async () => {
  const table: TuningTable = {};
  const seconds = new Map<string, number>();
  const onTiming = (_key: string, variant: string, time: number) => void seconds.set(variant, time);
  using backend = await createWebGpuBackend({ choose: createAutotuner({ table, onTiming }) });
  if (!backend.capabilities.timestamps) return;
  const { variant } = await backend.prepare(SPEC);
  assert(seconds.size > 1, "every candidate is timed");
  assertEquals(seconds.get(variant), Math.min(...seconds.values()));
  assertEquals(table, { [tuningKey(backend.capabilities.adapter, SPEC)]: variant });
  seconds.clear();
  assertEquals((await backend.prepare({ ...SPEC, rows: 50 })).variant, variant);
  assertEquals(seconds.size, 0);
  assertEquals(backend.memory.usedBytes, 0);
});

gpuTest("createAutotuner({ measure: false }) takes what the table says, else the default", async () => {
  const table: TuningTable = {};
  const choose = createAutotuner({ table, measure: false });
  using plain = await createWebGpuBackend();
  using backend = await createWebGpuBackend({ choose });
  assertEquals((await backend.prepare(SPEC)).variant, (await plain.prepare(SPEC)).variant);
  const other = { ...SPEC, rows: 100 };
  table[tuningKey(backend.capabilities.adapter, other)] = "tiled_128x128";
  assertEquals((await backend.prepare(other)).variant, "tiled_128x128");
});
