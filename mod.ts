/**
 * Composable quantization primitives for JavaScript.
 *
 * @module
 */
export * from "./formats/mod.ts";
export * from "./quant/mod.ts";
export * from "./kernels/mod.ts";
