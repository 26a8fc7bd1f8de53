// The shaders as text, so that a change of a generator shows in review. They are the same on every machine, and no GPU is
// needed. QUIK_UPDATE_SNAPSHOTS=1 writes them anew.
import type { KernelSpec } from "../../kernels/mod.ts";
import { variantsFor } from "../../kernels/webgpu/registry.ts";
import { assert, assertEquals } from "@std/assert";
import { DEFAULT_DEVICE } from "./_devices.ts";

const folder = new URL("../fixtures/wgsl/", import.meta.url);

const codes = { activationBits: 4, weightBits: 4, columns: 100, inner: 64 } as const;
const snapshots: readonly (readonly [name: string, variant: string, spec: KernelSpec])[] = [
  ["add", "elementwise", { op: "add", count: 8 }],
  ["rms_norm", "workgroup_per_row", { op: "rms_norm", rows: 2, columns: 64, epsilon: 1e-5 }],
  ["quantize_activations", "workgroup_per_row", {
    op: "quantize_activations",
    rows: 2,
    columns: 64,
    outliers: 4,
    bits: 4,
  }],
  ["integer_matmul_few_rows", "few_rows", { op: "integer_matmul", rows: 1, ...codes }],
  ["quik_linear_few_rows", "few_rows", { op: "quik_linear", rows: 1, outliers: 4, bias: false, ...codes }],
  ["dense_linear_few_rows", "few_rows", {
    op: "dense_linear",
    rows: 1,
    columns: 10,
    inner: 64,
    weightType: "float16",
    bias: true,
  }],
  ["codebook_linear_few_rows", "few_rows", {
    op: "codebook_linear",
    rows: 1,
    columns: 10,
    inner: 64,
    bits: 4,
    groupSize: 32,
    scaleType: "float16",
    zeroPoint: false,
    bias: false,
  }],
];

for (const [name, variantName, spec] of snapshots) {
  Deno.test(`the shader of ${name} is as it was`, async () => {
    const variant = variantsFor(spec, DEFAULT_DEVICE).find((candidate) => candidate.name === variantName);
    assert(variant, `${spec.op} has no variant ${variantName}`);
    const text = variant.generate(spec, DEFAULT_DEVICE).passes
      .map(({ wgsl, workgroups, uniforms }) =>
        `// workgroups ${workgroups.join(" x ")}, uniforms ${uniforms.join(" ")}\n${wgsl}`
      )
      .join("\n");
    const file = new URL(`${name}.wgsl`, folder);
    if (Deno.env.get("QUIK_UPDATE_SNAPSHOTS") === "1") {
      await Deno.mkdir(folder, { recursive: true });
      await Deno.writeTextFile(file, text);
    }
    assertEquals(text, await Deno.readTextFile(file));
  });
}
