// What decides between kernels, on devices that are not here.
import { assert } from "@std/assert";
import { type KernelSpec, variantsFor } from "../../kernels/mod.ts";
import { MATRIX_DEVICE } from "./_devices.ts";

Deno.test("products of one token to many go from decode kernels to matrix units without a gap", () => {
  const shape = { columns: 4096, inner: 4096, bias: false, allowFloat16: true } as const;
  const weight = {
    bits: 4,
    groupSize: 128,
    scaleType: "float16",
    zeroPoint: false,
    evenLevels: true,
  } as const;
  for (const rows of [1, 2, 3, 4, 8, 16, 17, 24, 31, 32, 100, 2048]) {
    const specs: KernelSpec[] = [
      { ...shape, rows, op: "dense_linear", weightType: "float16" },
      { ...shape, ...weight, rows, op: "codebook_linear" },
      { ...shape, rows, op: "quik_linear", outliers: 256, activationBits: 4, weightBits: 4 },
    ];
    for (const spec of specs) {
      const [{ name }] = variantsFor(spec, MATRIX_DEVICE);
      assert((rows <= 16 ? /^(decode|digits)/ : /^matrix/).test(name), `${spec.op}, ${rows} rows: ${name}`);
    }
  }
});
