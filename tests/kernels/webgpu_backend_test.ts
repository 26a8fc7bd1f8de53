import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createWebGpuBackend, type KernelSpec } from "@quik/quant/kernels";
import { gpuTest } from "./_gpu.ts";
import { checkOneBuffer } from "./_one_buffer.ts";

const floats = (count: number, value: (i: number) => number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, (_, i) => value(i));

gpuTest("createWebGpuBackend() runs an op, in place too", async () => {
  using backend = await createWebGpuBackend();
  for (const count of [1, 7, 8, 1000]) {
    const kernel = await backend.prepare({ op: "add", count });
    using a = backend.allocate(count * 4);
    using b = backend.allocate(count * 4);
    backend.write(a, floats(count, (i) => i));
    backend.write(b, floats(count, () => 0.5));
    backend.dispatch(kernel, [a, b], [b]);
    backend.dispatch(kernel, [a, b], [b]);
    assertEquals(new Float32Array(await backend.read(b)), floats(count, (i) => 2 * i + 0.5));
  }
});

gpuTest("WebGpuBackend.dispatch() takes an output that is any of the inputs, or all of them", async () => {
  using backend = await createWebGpuBackend();
  const add = await backend.prepare({ op: "add", count: 5 });
  const gated = await backend.prepare({ op: "gated_activation", count: 5, activation: "relu" });
  const rope = await backend.prepare({ op: "rope", rows: 1, heads: 1, headSize: 4 });
  const upload = (data: ArrayBufferView<ArrayBuffer>) => {
    const buffer = backend.allocate(data.byteLength);
    backend.write(buffer, data);
    return buffer;
  };
  using x = upload(floats(5, (i) => i - 2));
  using y = upload(floats(5, () => 10));
  backend.dispatch(add, [x, y], [x]);
  assertEquals(new Float32Array(await backend.read(x)), floats(5, (i) => i + 8));
  backend.dispatch(add, [x, x], [x]);
  assertEquals(new Float32Array(await backend.read(x)), floats(5, (i) => 2 * i + 16));
  backend.dispatch(gated, [y, x], [x]);
  assertEquals(new Float32Array(await backend.read(x)), floats(5, (i) => 20 * i + 160));
  using turned = upload(floats(4, (i) => i + 1));
  using cosines = upload(Float32Array.of(0, 1));
  using sines = upload(Float32Array.of(1, 0));
  using position = upload(Uint32Array.of(0));
  backend.dispatch(rope, [turned, cosines, sines, position], [turned]);
  assertEquals(new Float32Array(await backend.read(turned)), Float32Array.of(-3, 2, 1, 4));
});

gpuTest("WebGpuBackend.dispatch() takes one buffer for two inputs", async () => {
  using backend = await createWebGpuBackend();
  await checkOneBuffer(backend);
});

gpuTest("createWebGpuBackend() lets products round to float16 if they leave it open", async () => {
  const spec = {
    op: "dense_linear",
    rows: 1,
    columns: 8,
    inner: 8,
    weightType: "float16",
    bias: false,
  } as const;
  using backend = await createWebGpuBackend({ allowFloat16: true });
  const allowed = async (given: KernelSpec): Promise<boolean> => {
    const { spec } = await backend.prepare(given);
    return "allowFloat16" in spec && spec.allowFloat16 === true;
  };
  assertEquals(await allowed(spec), true);
  assertEquals(await allowed({ ...spec, allowFloat16: false }), false);
  const { weightType: _, ...shape } = spec;
  const codebook = { ...shape, op: "codebook_linear", bits: 4, groupSize: 8 } as const;
  assertEquals(await allowed({ ...codebook, scaleType: "float32", zeroPoint: false }), true);
  assertEquals(await allowed({ op: "add", count: 4 }), false);
});

gpuTest("WebGpuBackend.prepare() names op and backend of an unknown op", async () => {
  using backend = await createWebGpuBackend();
  const spec = { op: "divide", count: 3 } as unknown as KernelSpec;
  assertEquals(backend.supports(spec), false);
  await assertRejects(
    () => backend.prepare(spec),
    TypeError,
    "Cannot run divide count=3: the webgpu backend",
  );
});

gpuTest("WebGpuBackend.dispatch() refuses small, missing and foreign buffers", async () => {
  using backend = await createWebGpuBackend();
  using other = await createWebGpuBackend();
  const kernel = await backend.prepare({ op: "add", count: 100 });
  using small = backend.allocate(396);
  using large = backend.allocate(400);
  using foreign = other.allocate(400);
  assertThrows(() => backend.dispatch(kernel, [small, large], [large]), RangeError, "add count=100");
  assertThrows(() => backend.dispatch(kernel, [large], [large]), RangeError, "add count=100");
  assertThrows(() => backend.dispatch(kernel, [foreign, large], [large]), TypeError, "another backend");
  large.dispose();
  await assertRejects(() => backend.read(large), TypeError, "disposed");
});

gpuTest("inverse_factor tells of a matrix that is not positive definite by its pivots", async () => {
  using backend = await createWebGpuBackend();
  const kernel = await backend.prepare({ op: "inverse_factor", size: 2 });
  using hessian = backend.allocate(16);
  using order = backend.allocate(8);
  using damping = backend.allocate(4);
  using factor = backend.allocate(16);
  using pivots = backend.allocate(8);
  backend.write(hessian, Float32Array.of(1, 2, 2, 1));
  backend.write(order, Uint32Array.of(0, 1));
  backend.write(damping, new Float32Array(1));
  backend.dispatch(kernel, [hessian, order, damping], [factor, pivots]);
  const found = new Float32Array(await backend.read(pivots));
  assertEquals(found.every((pivot) => pivot > 0 && pivot < Infinity), false);
});
