/**
 * Number formats: what a code means. Integer, float and codebook formats, block formats and bit packing, as pure
 * functions on numbers and typed arrays.
 *
 * @module
 */
export * from "./block_format.ts";
export * from "./codebook.ts";
export * from "./dynamic8.ts";
export * from "./encode_array.ts";
export * from "./float.ts";
export * from "./floats.ts";
export * from "./ggml_float4.ts";
export * from "./gguf_k.ts";
export * from "./gguf_simple.ts";
export * from "./integer.ts";
export * from "./iq4_nl.ts";
export * from "./mx.ts";
export * from "./normal_float.ts";
export * from "./number_format.ts";
export * from "./nvfp4.ts";
export * from "./pack.ts";
export * from "./round.ts";
export * from "./thresholds.ts";
