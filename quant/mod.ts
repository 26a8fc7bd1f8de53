/**
 * Which code to choose: granularity, scales and zero points, clip search, observers, outlier selection, and one file
 * per quantization method.
 *
 * @module
 */
export { createMatrix, type Matrix } from "./matrix.ts";
export type { LayerCalibration, LinearLayer, LinearMethod, QuantizedLinear } from "./method.ts";
