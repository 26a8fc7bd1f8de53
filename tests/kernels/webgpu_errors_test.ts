// What goes wrong on a device surfaces as an error that names the op and its shapes, and memory does not grow.
import {
  assert,
  assertEquals,
  assertLess,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  createWebGpuBackend,
  type DeviceBuffer,
  type KernelVariant,
  requestFullDevice,
  type WebGpuBackend,
} from "@quik/quant/kernels";
import { gpuTest } from "./_gpu.ts";

async function requestDevice(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter();
  assert(adapter !== null);
  return await requestFullDevice(adapter);
}

/** A device that behaves like another but for some members. */
function withMembers(device: GPUDevice, members: Partial<GPUDevice>): GPUDevice {
  return new Proxy(device, {
    get(target, name) {
      if (name in members) return Reflect.get(members, name);
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

async function addOnce(backend: WebGpuBackend, count: number): Promise<DeviceBuffer> {
  const kernel = await backend.prepare({ op: "add", count });
  using a = backend.allocate(count * 4);
  using b = backend.allocate(count * 4);
  const sum = backend.allocate(count * 4);
  backend.write(a, new Float32Array(count).fill(1));
  backend.write(b, new Float32Array(count).fill(2));
  backend.dispatch(kernel, [a, b], [sum]);
  return sum;
}

const brokenVariant = (wgsl: string): KernelVariant => ({
  name: "broken",
  supports: () => true,
  generate: () => ({
    passes: [{
      wgsl,
      bindings: [{ name: "y", type: "array<f32>", writes: true, source: { from: "output", index: 0 } }],
      uniforms: [],
      workgroups: [1, 1, 1],
    }],
  }),
});

gpuTest("WebGpuBackend names the op when a shader does not compile", async () => {
  const broken = brokenVariant("@compute @workgroup_size(1) fn main() { y[0] = nonsense; }");
  using backend = await createWebGpuBackend({ choose: () => broken });
  const error = await assertRejects(() => backend.prepare({ op: "add", count: 12 }), TypeError);
  assertStringIncludes(error.message, "Cannot prepare add count=12 (broken)");
  assertStringIncludes(error.message, "nonsense");
  await assertRejects(() => backend.prepare({ op: "add", count: 12 }), TypeError, "add count=12");
});

gpuTest("WebGpuBackend names the op when a dispatch is larger than the device allows", async () => {
  const { passes } = brokenVariant("@compute @workgroup_size(1) fn main() { }").generate(
    { op: "add", count: 1 },
    {} as never,
  );
  const huge: KernelVariant = {
    name: "huge",
    supports: () => true,
    generate: () => ({ passes: [{ ...passes[0], workgroups: [70000, 1, 1] }] }),
  };
  using backend = await createWebGpuBackend({ choose: () => huge });
  await assertRejects(
    () => backend.prepare({ op: "add", count: 12 }),
    RangeError,
    "Cannot prepare add count=12 (huge): it needs 70000 x 1 x 1 workgroups",
  );
});

gpuTest("WebGpuBackend reports a validation error of submitted work with the ops in it", async () => {
  const device = await requestDevice();
  using backend = await createWebGpuBackend({ device });
  using sum = await addOnce(backend, 20);
  // Destroying memory behind the backend's back makes the next submission invalid.
  const kernel = await backend.prepare({ op: "add", count: 20 });
  using other = backend.allocate(80);
  backend.dispatch(kernel, [other, other], [sum]);
  (other as unknown as { gpu: GPUBuffer }).gpu.destroy();
  const error = await assertRejects(() => backend.sync(), Error, "add count=20");
  assertStringIncludes(error.message, "Cannot run");
  await backend.sync();
  device.destroy();
});

gpuTest("WebGpuBackend names the op when the device is lost", async () => {
  const device = await requestDevice();
  using backend = await createWebGpuBackend({ device });
  const kernel = await backend.prepare({ op: "add", count: 20 });
  using sum = await addOnce(backend, 20);
  const reading = backend.read(sum);
  device.destroy();
  await assertRejects(() => reading, Error, "add count=20: the WebGPU device was lost");
  assertThrows(
    () => backend.dispatch(kernel, [sum, sum], [sum]),
    Error,
    "Cannot run add count=20: the WebGPU device was lost",
  );
  await assertRejects(
    () => backend.prepare({ op: "add", count: 24 }),
    Error,
    "Cannot prepare add count=24: the WebGPU device was lost",
  );
  assertThrows(() => backend.allocate(16), Error, "Cannot allocate 16 bytes: the WebGPU device was lost");
});

/** A device that answers that it is out of memory while `full()`. */
function withMemory(real: GPUDevice, full: () => boolean): GPUDevice {
  const scopes: GPUErrorFilter[] = [];
  return withMembers(real, {
    pushErrorScope: (filter) => {
      scopes.push(filter);
      return real.pushErrorScope(filter);
    },
    popErrorScope: async () => {
      const filter = scopes.pop();
      const fails = filter === "out-of-memory" && full();
      const error = await real.popErrorScope();
      return fails ? new GPUOutOfMemoryError("no memory left") : error;
    },
  });
}

gpuTest("WebGpuBackend names what it did when the device was out of memory", async () => {
  const real = await requestDevice();
  let full = false;
  using backend = await createWebGpuBackend({ device: withMemory(real, () => full) });
  const kernel = await backend.prepare({ op: "add", count: 20 });
  using sum = await addOnce(backend, 20);
  await backend.sync();
  full = true;
  backend.dispatch(kernel, [sum, sum], [sum]);
  await assertRejects(() => backend.sync(), Error, "Cannot run add count=20: no memory left");
  await assertRejects(() => backend.read(sum), Error, "Cannot read 80 bytes: no memory left");
  await assertRejects(
    () => backend.prepare({ op: "add", count: 24 }),
    TypeError,
    "Cannot prepare add count=24 (elementwise): out of memory",
  );
  full = false;
  await backend.prepare({ op: "add", count: 24 });
  assertEquals((await backend.read(sum)).byteLength, 80);
  real.destroy();
});

gpuTest("WebGpuBackend reports that the device is out of memory", async () => {
  const real = await requestDevice();
  let full = false;
  using backend = await createWebGpuBackend({ device: withMemory(real, () => full) });
  full = true;
  const buffer = backend.allocate(4096);
  await assertRejects(
    () => backend.sync(),
    RangeError,
    "Cannot allocate 4096 bytes on the WebGPU device: out of memory",
  );
  full = false;
  buffer.dispose();
  using sum = await addOnce(backend, 4);
  assertEquals(new Float32Array(await backend.read(sum)), Float32Array.of(3, 3, 3, 3));
  real.destroy();
});

gpuTest("WebGpuBackend.allocate() refuses what one binding cannot hold", async () => {
  using backend = await createWebGpuBackend();
  const { maxBufferBytes } = backend.limits;
  assertThrows(
    () => backend.allocate(maxBufferBytes + 1),
    RangeError,
    `Cannot allocate ${maxBufferBytes + 1} bytes: this WebGPU device binds at most ${maxBufferBytes}`,
  );
  assertThrows(() => backend.allocate(-1), RangeError, "Cannot allocate -1 bytes");
  assertThrows(() => backend.allocate(1.5), RangeError, "Cannot allocate 1.5 bytes");
});

gpuTest("WebGpuBackend refuses everything after dispose(), and dispose() twice is allowed", async () => {
  const backend = await createWebGpuBackend();
  const buffer = backend.allocate(16);
  backend.dispose();
  backend.dispose();
  buffer.dispose();
  assertThrows(() => backend.allocate(16), TypeError, "the WebGPU backend is disposed");
  await assertRejects(() => backend.sync(), TypeError, "disposed");
});

gpuTest("a thousand create, run and dispose cycles take no new memory", async () => {
  const real = await requestDevice();
  const created = { buffers: 0, bindGroups: 0, pipelines: 0 };
  const device = withMembers(real, {
    createBuffer: (descriptor) => {
      created.buffers++;
      return real.createBuffer(descriptor);
    },
    createBindGroup: (descriptor) => {
      created.bindGroups++;
      return real.createBindGroup(descriptor);
    },
    createComputePipelineAsync: (descriptor) => {
      created.pipelines++;
      return real.createComputePipelineAsync(descriptor);
    },
  });
  using backend = await createWebGpuBackend({ device });
  const cycle = async (i: number): Promise<void> => {
    using sum = await addOnce(backend, 20_000 + 4_000 * (i % 5));
    if (i % 50 === 49) await backend.read(sum);
  };
  for (let i = 0; i < 200; i++) await cycle(i);
  const { keptBytes } = backend.memory;
  const before = { ...created };
  for (let i = 0; i < 1000; i++) await cycle(i);
  assertEquals(backend.memory, { usedBytes: 0, keptBytes });
  assertEquals(created, before);
  real.destroy();
});

gpuTest("freed memory beyond the budget is given back to the device", async () => {
  using backend = await createWebGpuBackend({ keepBytes: 100_000 });
  const buffers = Array.from({ length: 10 }, () => backend.allocate(40_000));
  assert(backend.memory.usedBytes >= 400_000);
  for (const buffer of buffers) buffer.dispose();
  assertEquals(backend.memory.usedBytes, 0);
  assertLess(backend.memory.keptBytes, 100_001);
  await backend.sync();
});

gpuTest("backends give back all that they took, however many are made on a device", async () => {
  const real = await requestDevice();
  const live = new Set<GPUBuffer>();
  const device = withMembers(real, {
    createBuffer: (descriptor) => {
      const buffer = real.createBuffer(descriptor);
      live.add(buffer);
      const destroy = buffer.destroy.bind(buffer);
      buffer.destroy = () => {
        live.delete(buffer);
        destroy();
      };
      return buffer;
    },
  });
  for (let i = 0; i < 100; i++) {
    const backend = await createWebGpuBackend({ device });
    const sum = await addOnce(backend, 1000 + i);
    if (i % 10 === 0) await backend.read(sum);
    backend.dispose();
    assertEquals(live.size, 0, `after ${i + 1} backends`);
  }
  real.destroy();
});
