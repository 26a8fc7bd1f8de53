// The wasm backend, both builds of it, against the suite that every backend passes.
import { createWasmBackend } from "../../kernels/mod.ts";
import { runConformance } from "./conformance.ts";

runConformance("wasm (relaxed SIMD)", () => createWasmBackend());
runConformance("wasm (SIMD)", () => createWasmBackend({ relaxedSimd: false }));
