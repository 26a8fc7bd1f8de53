// What decides between kernels, on devices that are not here.
import { assert, assertEquals } from "@std/assert";
import { type KernelSpec, variantsFor } from "../../kernels/mod.ts";
import { MATRIX_DEVICE } from "./_devices.ts";

Deno.test("products of one token to many go from decode kernels to matrix units without a gap", () => {
  const shape = { columns: 4096, inner: 4096, bias: false, allowFloat16: true } as const;
  const weight = {
    bits: 4,
    groupSize: 128,
    scaleType: "float16",
    zeroPoint: false,
  } as const;
  /** Rows from which on matrix units are taken (bench/README.md says what that was measured by). */
  const crossovers: readonly (readonly [number, (rows: number) => KernelSpec])[] = [
    [8, (rows) => ({ ...shape, rows, op: "dense_linear", weightType: "float16" })],
    [8, (rows) => ({ ...shape, ...weight, rows, op: "codebook_linear" })],
    [17, (rows) => ({ ...shape, ...weight, rows, op: "codebook_linear", evenLevels: true })],
    [
      12,
      (rows) => ({ ...shape, rows, op: "quik_linear", outliers: 256, activationBits: 4, weightBits: 4 }),
    ],
    [
      40,
      (rows) => ({ ...shape, rows, op: "grouped_linear", groupSize: 128, activationBits: 4, weightBits: 4 }),
    ],
  ];
  for (const rows of [1, 2, 3, 4, 7, 8, 11, 12, 16, 17, 24, 31, 32, 33, 39, 40, 64, 65, 100, 2048]) {
    for (const [crossover, specOf] of crossovers) {
      const [{ name }] = variantsFor(specOf(rows), MATRIX_DEVICE);
      const wanted = rows < crossover ? /^(decode|digits|table)/ : /^matrix/;
      assert(wanted.test(name), `${specOf(rows).op}, ${rows} rows: ${name}`);
    }
  }
});

Deno.test("without matrix units, rows beyond one dispatch of a decode kernel are taken in turns", () => {
  const device = { ...MATRIX_DEVICE, subgroupMatrices: [] };
  const shape = { rows: 33, columns: 4096, inner: 4096, bias: false } as const;
  const specs: readonly KernelSpec[] = [
    { ...shape, op: "dense_linear", weightType: "float16" },
    { ...shape, op: "quik_linear", outliers: 256, activationBits: 4, weightBits: 4 },
  ];
  for (const spec of specs) {
    const [{ name, generate }] = variantsFor(spec, device);
    assert(name.startsWith("decode"), name);
    assertEquals(generate(spec, device).passes.length, 3);
  }
});

Deno.test("a QUIK layer of up to four tokens keeps its rows in workgroup memory", () => {
  const shape = { columns: 4096, inner: 3840, outliers: 256, bias: false } as const;
  for (const bits of [4, 8] as const) {
    for (const rows of [1, 2, 3, 4]) {
      const spec: KernelSpec = { ...shape, rows, op: "quik_layer", activationBits: bits, weightBits: bits };
      const [{ name }] = variantsFor(spec, MATRIX_DEVICE);
      assertEquals(name, rows === 1 ? "decode_8" : "decode_16", `${bits} bits, ${rows} rows`);
    }
  }
});
