// Whether WebGPU tests can run here. With QUIK_REQUIRE_GPU=1 the absence of an adapter is a failure, not a skip.
const adapter = await globalThis.navigator?.gpu?.requestAdapter() ?? null;
if (adapter === null && Deno.env.get("QUIK_REQUIRE_GPU") === "1") {
  throw new Error("QUIK_REQUIRE_GPU is set, and no WebGPU adapter answers");
}

/** Prefix of test names and the `ignore` flag of tests that need a WebGPU adapter. */
export const gpu: { readonly ignore: boolean; readonly reason: string } = {
  ignore: adapter === null,
  reason: adapter === null ? " [ignored: no WebGPU adapter answers]" : "",
};

/** `Deno.test` for a test that needs a WebGPU adapter. */
export function gpuTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: name + gpu.reason, ignore: gpu.ignore, fn });
}
