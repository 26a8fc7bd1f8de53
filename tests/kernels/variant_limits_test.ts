// No variant that says it supports a spec may write a program beyond what the device allows: on devices with matrix units and
// subgroups of 32, but the standard's smallest limits.
import { assert, assertGreater } from "@std/assert";
import { specKey, type WebGpuCapabilities } from "../../kernels/mod.ts";
import { variantsFor } from "../../kernels/webgpu/registry.ts";
import { conformanceCases } from "./_cases.ts";
import { DEFAULT_DEVICE, MATRIX_DEVICE } from "./_devices.ts";

const COMPONENTS: Readonly<Record<string, number>> = { "": 1, "vec2": 2, "vec3": 4, "vec4": 4 };

/** Bytes of workgroup memory that a shader declares: arrays, arrays of arrays, and single values. */
function workgroupBytes(wgsl: string): number {
  let sum = 0;
  for (const [, type] of wgsl.matchAll(/var<workgroup> \w+: ([^;]+);/g)) {
    const [, vector = ""] = /(vec[234])</.exec(type) ?? [];
    const counts = [...type.matchAll(/, (\d+)>/g)].map(([, count]) => Number(count));
    sum += 4 * COMPONENTS[vector] * counts.reduce((product, count) => product * count, 1);
  }
  return sum;
}

/** What a program takes more of than there is. */
function beyond(
  { limits }: WebGpuCapabilities,
  wgsl: string,
  bindings: number,
  workgroups: readonly number[],
): string[] {
  const [, sizes] = /@workgroup_size\(([^)]+)\)/.exec(wgsl)!;
  const invocations = sizes.split(",").reduce((product, size) => product * Number(size), 1);
  const memory = workgroupBytes(wgsl);
  return [
    ...(bindings > limits.maxStorageBuffersPerShaderStage ? [`${bindings} buffers`] : []),
    ...(invocations > limits.maxComputeInvocationsPerWorkgroup ? [`${invocations} invocations`] : []),
    ...(memory > limits.maxComputeWorkgroupStorageSize ? [`${memory} bytes of workgroup memory`] : []),
    ...(Math.max(...workgroups) > limits.maxComputeWorkgroupsPerDimension
      ? [`${workgroups} workgroups`]
      : []),
  ];
}

Deno.test("workgroup memory of a shader is counted", () => {
  const wgsl = `var<workgroup> a: array<vec4<u32>, 8>; var<workgroup> b: array<array<f32, 5>, 3>;
    var<workgroup> c: f32; var<workgroup> d: array<vec2<f32>, 4>;`;
  assert(workgroupBytes(wgsl) === 128 + 60 + 4 + 32);
});

for (const [name, { limits }] of [["smallest", DEFAULT_DEVICE], ["an H100's", MATRIX_DEVICE]] as const) {
  Deno.test(`every variant keeps to ${name} limits`, () => {
    const device = { ...MATRIX_DEVICE, limits };
    let programs = 0;
    for (const { spec } of conformanceCases()) {
      for (const variant of variantsFor(spec, device)) {
        programs++;
        for (const { wgsl, bindings, workgroups } of variant.generate(spec, device).passes) {
          const too = beyond(device, wgsl, bindings.length, workgroups);
          assert(too.length === 0, `${variant.name} of ${specKey(spec)}: ${too.join(", ")}`);
        }
      }
    }
    assertGreater(programs, 500);
  });
}
