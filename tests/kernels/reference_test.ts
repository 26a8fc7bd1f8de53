// The reference backend: hand-computed vectors and buffer checks. It is the oracle of the conformance suite.
import { createReferenceBackend, type DeviceBuffer, type KernelSpec } from "../../kernels/mod.ts";
import { assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { conformanceCases } from "./_cases.ts";
import { REFERENCE_OPS } from "../../kernels/reference/backend.ts";

async function run(
  spec: KernelSpec,
  inputs: ArrayBufferView<ArrayBuffer>[],
  bytes: number[],
): Promise<ArrayBuffer[]> {
  using backend = createReferenceBackend();
  const upload = (data: ArrayBufferView<ArrayBuffer>): DeviceBuffer => {
    const buffer = backend.allocate(data.byteLength);
    backend.write(buffer, data);
    return buffer;
  };
  const outputs = bytes.map((size) => backend.allocate(size));
  backend.dispatch(await backend.prepare(spec), inputs.map(upload), outputs);
  return await Promise.all(outputs.map((buffer) => backend.read(buffer)));
}

Deno.test("quantize_activations gives the hand-computed codes of a row with ties", async () => {
  const x = Float32Array.of(-1, -0.875, -0.625, 0, 0.3, 1.125, 2, 2.75);
  const columns = Uint32Array.from(x.keys());
  const [codes, qparams] = await run(
    { op: "quantize_activations", rows: 1, columns: 8, outliers: 0, bits: 4 },
    [x, columns, new Uint32Array(0)],
    [16, 8, 0],
  );
  assertEquals(new Uint8Array(codes, 0, 4), Uint8Array.of(0x88, 0xca, 0x0d, 0x74));
  assertEquals(new Float32Array(qparams), Float32Array.of(0.25, -1));
});

Deno.test("quantize_activations keeps zero outside the range and decodes a constant row exactly", async () => {
  const x = Float32Array.of(1, 1.2, 1.9, 2.5, 7, 7, 7, 7);
  const [codes, qparams] = await run(
    { op: "quantize_activations", rows: 2, columns: 4, outliers: 0, bits: 8 },
    [x, Uint32Array.of(0, 1, 2, 3), new Uint32Array(0)],
    [32, 16, 0],
  );
  const [scale, zero, constantScale, constantZero] = new Float32Array(qparams);
  assertAlmostEquals(scale, 1.5 / 255, 1e-8);
  assertEquals(zero, 1);
  assertEquals(constantScale, Math.fround(1e-6));
  assertEquals(constantZero, 7);
  assertEquals(new Int8Array(codes, 16, 4), Int8Array.of(-128, -128, -128, -128));
});

Deno.test("quik_linear gives the hand-computed layer of two tokens", async () => {
  const half = (values: number[]) => {
    const bits: Record<number, number> = {
      [-9]: 0xc880,
      6: 0x4600,
      8: 0x4800,
      [-4]: 0xc400,
      1: 0x3c00,
      2: 0x4000,
    };
    bits[0.25] = 0x3400;
    bits[-0.5] = 0xb800;
    const row = new Uint16Array(8);
    values.forEach((value, i) => row[i] = bits[value]);
    return row;
  };
  const rows = (...list: Uint16Array[]) => Uint16Array.from(list.flatMap((row) => [...row]));
  const packed = (...list: number[][]) => {
    const bytes = new Uint8Array(list.length * 16);
    list.forEach((codes, row) =>
      codes.forEach((code, k) => bytes[row * 16 + (k >> 1)] |= (code & 15) << (k % 2 * 4))
    );
    return bytes;
  };
  // The layer of the paper's worked example: outlier columns 4 and 1 of six, in that order.
  const [y] = await run(
    {
      op: "quik_linear",
      rows: 2,
      columns: 2,
      inner: 4,
      outliers: 2,
      activationBits: 4,
      weightBits: 4,
      bias: true,
    },
    [
      packed([-8, -2, 4, 7], [-8, 7, -5, -3]),
      Float32Array.of(0.25, -1, 0.25, 0.25),
      rows(half([-9, 6]), half([8, -4])),
      packed([4, -2, 0, 7], [-4, 2, 7, -1]),
      Float32Array.of(1, 0.25),
      Float32Array.of(9, 1),
      rows(half([2, 1]), half([-0.5, 0.25])),
      Float32Array.of(0.5, -1),
    ],
    [16],
  );
  assertEquals(new Float32Array(y), Float32Array.of(2.75, 9.0625, 16, -2.875));
});

Deno.test("the conformance suite has cases for every op", () => {
  const covered = new Set(conformanceCases().map((testCase) => testCase.spec.op));
  for (const op of REFERENCE_OPS) assertEquals(covered.has(op), true, op);
});

Deno.test("dispatch() names the buffer that is too small", async () => {
  using backend = createReferenceBackend();
  const kernel = await backend.prepare({ op: "add", count: 4 });
  using small = backend.allocate(8);
  using large = backend.allocate(16);
  assertThrows(
    () => backend.dispatch(kernel, [large, small], [large]),
    RangeError,
    'input "b" holds 8 bytes and needs 16',
  );
  assertThrows(() => backend.dispatch(kernel, [large], [large]), RangeError, "it takes 2 (a, b)");
});

Deno.test("read() and write() refuse ranges outside the buffer", async () => {
  using backend = createReferenceBackend();
  using buffer = backend.allocate(8);
  assertThrows(() => backend.write(buffer, new Uint8Array(9)), RangeError, "Cannot write 9 bytes at 0");
  assertThrows(() => backend.write(buffer, new Uint8Array(4), 2), RangeError);
  await assertRejects(
    () => backend.read(buffer, { byteOffset: 4, byteLength: 8 }),
    RangeError,
    "Cannot read 8 bytes",
  );
  assertThrows(() => backend.allocate(-1), RangeError, "Cannot allocate -1 bytes");
});
