// What decides between kernels, on devices that are not here.
import { assert, assertEquals } from "@std/assert";
import {
  createWebGpuBackend,
  type KernelSpec,
  variantsFor,
  type WebGpuCapabilities,
} from "../../kernels/mod.ts";
import { liesOnVulkan } from "../../kernels/webgpu/capabilities.ts";
import { gpuTest } from "./_gpu.ts";

Deno.test("liesOnVulkan() tells systems apart in Deno, Node and browsers", () => {
  for (const os of ["linux", "android", "freebsd"]) assert(liesOnVulkan({ Deno: { build: { os } } }), os);
  for (const os of ["windows", "darwin"]) assert(!liesOnVulkan({ Deno: { build: { os } } }), os);
  assert(!liesOnVulkan({ process: { platform: "win32" } }));
  assert(liesOnVulkan({ process: { platform: "linux" }, navigator: { platform: "Win32" } }));
  for (const platform of ["Win32", "MacIntel", "iPhone"]) {
    assert(!liesOnVulkan({ navigator: { platform } }), platform);
  }
  assert(liesOnVulkan({ navigator: { platform: "Linux x86_64" } }));
});

gpuTest("products of one token to many go from decode kernels to matrix units without a gap", async () => {
  using backend = await createWebGpuBackend();
  const device: WebGpuCapabilities = {
    ...backend.capabilities,
    float16: true,
    subgroups: "enable",
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
    subgroupMatrices: [
      { componentType: "i8", resultComponentType: "i32", M: 16, N: 16, K: 32 },
      { componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 },
    ],
  };
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
      const [{ name }] = variantsFor(spec, device);
      assert((rows <= 16 ? /^(decode|digits)/ : /^matrix/).test(name), `${spec.op}, ${rows} rows: ${name}`);
    }
  }
});

gpuTest(
  "kernels that fill vectors together are offered only where components are written alone",
  async () => {
    using backend = await createWebGpuBackend();
    const device = {
      ...backend.capabilities,
      subgroups: "enable",
      subgroupMinSize: 32,
      subgroupMaxSize: 32,
    } as const;
    const shape = { rows: 1, columns: 64, inner: 128, bias: false } as const;
    const specs: KernelSpec[] = [
      { ...shape, op: "quik_layer", outliers: 16, activationBits: 4, weightBits: 4 },
      {
        ...shape,
        op: "codebook_linear",
        bits: 4,
        groupSize: 64,
        scaleType: "float16",
        zeroPoint: false,
        evenLevels: true,
      },
    ];
    for (const spec of specs) {
      const names = (componentWrites: boolean): string[] =>
        variantsFor(spec, { ...device, componentWrites }).map(({ name }) => name);
      const filling = names(true).filter((name) => !names(false).includes(name));
      assert(filling.length > 0 && filling.every((name) => /decode|digits/.test(name)), spec.op);
      assertEquals(names(false).filter((name) => /decode|digits/.test(name)), []);
    }
  },
);
