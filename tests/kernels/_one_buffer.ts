// A product of a matrix with itself, from one buffer: WebGPU refuses it twice in a dispatch where a binding is writable.
import { createReferenceBackend, type IntegerMatmulSpec, type WebGpuBackend } from "../../kernels/mod.ts";
import { createRandom } from "../../quant/mod.ts";
import { assertEquals } from "@std/assert";
import { codeRows } from "./_inputs.ts";

/** Large enough for the tiles of matrix units. */
const SPEC: IntegerMatmulSpec = {
  op: "integer_matmul",
  rows: 300,
  columns: 300,
  inner: 96,
  activationBits: 8,
  weightBits: 8,
};

/** Checks that product on a backend. */
export async function checkOneBuffer(backend: WebGpuBackend): Promise<void> {
  const codes = codeRows(createRandom(1), SPEC.rows, SPEC.inner, 8);
  const results: ArrayBuffer[] = [];
  using reference = createReferenceBackend();
  for (const each of [reference, backend]) {
    const kernel = await each.prepare(SPEC);
    using x = each.allocate(codes.byteLength);
    using y = each.allocate(SPEC.rows * SPEC.columns * 4);
    each.write(x, codes);
    each.dispatch(kernel, [x, x], [y]);
    results.push(await each.read(y));
  }
  assertEquals(new Int32Array(results[1]), new Int32Array(results[0]));
}
