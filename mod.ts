/**
 * Composable quantization primitives for JavaScript: number formats, packing, scale computation, outlier selection and
 * GEMM kernels as small independent modules, and the QUIK layer (arXiv 2310.09259) that they make together.
 *
 * This entry point has everything that works on numbers and devices. What works on whole models and their files is in
 * `@quik/quant/models` and `@quik/quant/io`.
 *
 * ```ts
 * import { createMatrix, float4E2M1, QuikLinear } from "@quik/quant";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(float4E2M1.decode(float4E2M1.encode(5.2)), 6);
 *
 * const weight = createMatrix(2, 4, Float32Array.of(7, -3, 1, 0, 2, 5, -7, 4));
 * using layer = QuikLinear.fromFloat({ weight }, { absmax: new Float32Array(4), rounding: "nearest" });
 * const y = await layer.forward({ data: Float32Array.of(0, 1, 2, 15), shape: [1, 1, 4] });
 * assertEquals(y.shape, [1, 1, 2]);
 * ```
 *
 * @module
 */
export * from "./formats/mod.ts";
export * from "./quant/mod.ts";
export * from "./kernels/mod.ts";
export * from "./ops/mod.ts";
