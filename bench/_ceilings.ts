// What the hardware allows, measured: chains of arithmetic without memory, matrix units fed from registers, and reading
// a gigabyte. Everything else in the GPU tables is divided by these.
import type { GpuTimer, Launch, WebGpuBackend, WebGpuCapabilities } from "../kernels/mod.ts";

/** A measured ceiling. */
export interface Ceiling {
  readonly name: string;
  /** Operations or bytes per second. */
  readonly rate: number;
  readonly unit: "FLOP/s" | "OP/s" | "B/s";
}

interface Probe {
  readonly name: string;
  readonly unit: Ceiling["unit"];
  readonly code: string;
  readonly workgroups: number;
  /** Operations or bytes of one dispatch. */
  readonly work: number;
}

const LOOPS = 64;
const UNROLLED = 16;

/** Measures every ceiling that the device has. */
export async function measureCeilings(backend: WebGpuBackend, timer: GpuTimer): Promise<Ceiling[]> {
  const { device, capabilities } = backend;
  const scale = capabilities.software ? 1 / 256 : 1;
  const readBytes = Math.min(backend.limits.maxBufferBytes, capabilities.software ? 2 ** 26 : 2 ** 30);
  const source = device.createBuffer({
    size: readBytes,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
  });
  const noise = new Uint32Array(2 ** 20).map(() => Math.random() * 2 ** 32);
  for (let at = 0; at < readBytes; at += noise.byteLength) device.queue.writeBuffer(source, at, noise);
  const sink = device.createBuffer({ size: 2 ** 26, usage: GPUBufferUsage.STORAGE });
  const ceilings: Ceiling[] = [];
  for (const probe of [...arithmetic(capabilities, scale), ...matrices(capabilities), reading(readBytes)]) {
    const pipeline = await device.createComputePipelineAsync({
      layout: "auto",
      compute: { module: device.createShaderModule({ code: probe.code }), entryPoint: "main" },
    });
    const entries = [source, sink].map((buffer, binding) => ({ binding, resource: { buffer } }));
    const launch: Launch = {
      pipeline,
      bindGroup: device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }),
      workgroups: [probe.workgroups, 1, 1],
    };
    const { median } = await timer.timeLaunches([[launch]]);
    ceilings.push({ name: probe.name, unit: probe.unit, rate: probe.work / median });
  }
  source.destroy();
  sink.destroy();
  return ceilings;
}

function arithmetic({ float16 }: WebGpuCapabilities, scale: number): Probe[] {
  const workgroups = Math.max(1, Math.round(2048 * scale));
  const probe = (
    name: string,
    unit: Ceiling["unit"],
    opsPerStep: number,
    parts: { enable?: string; init: string; step: string; result: string },
  ): Probe => ({
    name,
    unit,
    workgroups,
    work: workgroups * 256 * LOOPS * UNROLLED * opsPerStep,
    code: `${parts.enable ?? ""}
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> sink: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let r = source[id.x % 64u];
  ${parts.init}
  for (var i = 0u; i < ${LOOPS}u; i++) { ${parts.step.repeat(UNROLLED)} }
  sink[id.x] = ${parts.result};
}`,
  });
  const four = (step: (name: string) => string): string => ["a", "b", "c", "d"].map(step).join(" ");
  return [
    probe("f32 multiply-add", "FLOP/s", 8, {
      init:
        "var a = f32(r & 7u); var b = a + 1.0; var c = a + 2.0; var d = a + 3.0; let x = f32(r & 3u) + 0.99;",
      step: four((v) => `${v} = fma(${v}, x, x);`),
      result: "a + b + c + d",
    }),
    ...(float16
      ? [probe("f16 x 2 multiply-add", "FLOP/s", 16, {
        enable: "enable f16;",
        init:
          "var a = vec2<f16>(f16(r & 7u)); var b = a; var c = a; var d = a + vec2<f16>(1.0); let x = vec2<f16>(f16(r & 3u));",
        step: four((v) => `${v} = fma(${v}, x, x);`),
        result: "f32(a.x + b.y + c.x + d.y)",
      })]
      : []),
    probe("dot4I8Packed", "OP/s", 32, {
      init: "var a = 0; var b = 1; var c = 2; var d = 3;",
      step: ["a", "b", "c", "d"].map((v, i) => `${v} = dot4I8Packed(u32(${v}), r * ${2 * i + 3}u) + ${v};`)
        .join(" "),
      result: "f32(a + b + c + d)",
    }),
  ];
}

function matrices({ subgroupMatrices }: WebGpuCapabilities): Probe[] {
  const side = 4;
  const workgroups = 132 * 16;
  const offered = (component: string, result: string, depth: number): boolean =>
    subgroupMatrices.some(({ componentType, resultComponentType, M, N, K }) =>
      componentType === component && resultComponentType === result && M === 16 && N === 16 && K === depth
    );
  const probe = (name: string, component: string, result: string, depth: number): Probe => {
    const indices = Array.from({ length: side }, (_, i) => i);
    const pairs = indices.flatMap((i) => indices.map((j) => [i, j]));
    const loads = indices.map((i) => `
  let a_${i} = subgroupMatrixLoad<subgroup_matrix_left<${component}, ${depth}, 16>, row_major>(&source, ${
      256 * i
    }u, 8u);
  let b_${i} = subgroupMatrixLoad<subgroup_matrix_right<${component}, 16, ${depth}>, col_major>(&source, ${
      256 * i + 128
    }u, 8u);`);
    return {
      name,
      unit: component === "i8" ? "OP/s" : "FLOP/s",
      workgroups,
      work: workgroups * 4 * LOOPS * side * side * 2 * 16 * 16 * depth,
      code: `
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> sink: array<${result}>;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(subgroup_id) subgroup: u32) {
  ${loads.join("")}
  ${pairs.map(([i, j]) => `var c_${i}_${j}: subgroup_matrix_result<${result}, 16, 16>;`).join("\n  ")}
  for (var k = 0u; k < ${LOOPS}u; k++) {
    ${
        pairs.map(([i, j]) => `c_${i}_${j} = subgroupMatrixMultiplyAccumulate(a_${i}, b_${j}, c_${i}_${j});`)
          .join("\n    ")
      }
  }
  let place = (workgroup.x * 4u + subgroup) * 4096u;
  ${
        pairs.map(([i, j]) =>
          `subgroupMatrixStore<row_major>(&sink, (place + ${(i * side + j) * 256}u) % ${
            2 ** 23
          }u, c_${i}_${j}, 16u);`
        ).join("\n  ")
      }
}`,
    };
  };
  return [
    ...(offered("i8", "i32", 32) ? [probe("i8 matrix units", "i8", "i32", 32)] : []),
    ...(offered("f16", "f32", 16) ? [probe("f16 matrix units", "f16", "f32", 16)] : []),
  ];
}

function reading(bytes: number): Probe {
  return {
    name: "reading memory",
    unit: "B/s",
    workgroups: 132 * 8,
    work: bytes,
    code: `
@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> sink: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
  var sum = vec4<u32>(0u);
  let stride = grid.x * 256u;
  for (var i = id.x; i < ${bytes / 16}u; i += 4u * stride) {
    let a = source[i];
    let b = source[min(i + stride, ${bytes / 16 - 1}u)];
    let c = source[min(i + 2u * stride, ${bytes / 16 - 1}u)];
    let d = source[min(i + 3u * stride, ${bytes / 16 - 1}u)];
    sum ^= a ^ b ^ c ^ d;
  }
  sink[id.x] = sum.x ^ sum.y ^ sum.z ^ sum.w;
}`,
  };
}
