/**
 * Number formats: what a code means. Integer, float and codebook formats, block formats and bit packing, as pure
 * functions on numbers and typed arrays.
 *
 * @module
 */
export type { NumberFormat } from "./number_format.ts";
