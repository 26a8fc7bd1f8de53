// A product of a matrix with itself, from one buffer: WebGPU refuses it twice in a dispatch where a binding is writable.
import {
  type Backend,
  createReferenceBackend,
  type IntegerMatmulSpec,
  type KernelVariant,
} from "../../kernels/mod.ts";
import { inTextOrder } from "../../kernels/webgpu/program.ts";
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

/** A variant that declares what it reads as writable. */
export function readingInTextOrder(variant: KernelVariant): KernelVariant {
  return {
    ...variant,
    generate: (spec, capabilities) => {
      const program = variant.generate(spec, capabilities);
      const passes = program.passes.map((pass) => ({
        ...pass,
        wgsl: pass.wgsl.replaceAll("var<storage, read>", "var<storage, read_write>"),
        bindings: pass.bindings.map(inTextOrder),
      }));
      return { ...program, passes };
    },
  };
}

/** Runs that product. */
export async function multiplyWithItself(backend: Backend): Promise<Int32Array> {
  const codes = codeRows(createRandom(1), SPEC.rows, SPEC.inner, 8);
  const kernel = await backend.prepare(SPEC);
  using x = backend.allocate(codes.byteLength);
  using y = backend.allocate(SPEC.rows * SPEC.columns * 4);
  backend.write(x, codes);
  backend.dispatch(kernel, [x, x], [y]);
  return new Int32Array(await backend.read(y));
}

/** Checks that product on a backend. */
export async function checkOneBuffer(backend: Backend): Promise<void> {
  using reference = createReferenceBackend();
  assertEquals(await multiplyWithItself(backend), await multiplyWithItself(reference));
}
