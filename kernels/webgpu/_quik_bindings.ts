// The buffers of QUIK's quantization and product, as their variants bind them.
import type { QuantizeActivationsSpec, QuikLinearSpec } from "../specs.ts";
import { resultBinding } from "./_result.ts";
import { type Binding, input, output } from "./program.ts";

/** Bindings of a `quik_linear` shader; those of outliers and bias only where the spec has them. */
export function quikBindings(spec: QuikLinearSpec): Binding[] {
  const { outliers, bias } = spec;
  return [
    input(0, "left", "array<vec4<u32>>"),
    input(1, "qparams", "array<vec2<f32>>"),
    input(3, "right", "array<vec4<u32>>"),
    input(4, "weight_scale", "array<f32>"),
    input(5, "reduced", "array<f32>"),
    ...(outliers > 0
      ? [input(2, "outlier_left", "array<vec4<u32>>"), input(6, "outlier_right", "array<vec4<u32>>")]
      : []),
    ...(bias ? [input(7, "bias", "array<f32>")] : []),
    resultBinding(spec),
  ];
}

/** Bindings of a `quantize_activations` shader that reads x and the base columns one or four at a time. */
export function quantizeBindings({ outliers }: QuantizeActivationsSpec, lanes: 1 | 4): Binding[] {
  const array = (type: string): string => lanes === 4 ? `array<vec4<${type}>>` : `array<${type}>`;
  return [
    input(0, "x", array("f32")),
    input(1, "base_columns", array("u32")),
    ...(outliers > 0 ? [input(2, "outlier_columns", "array<u32>")] : []),
    output(0, "codes", "array<u32>"),
    output(1, "qparams", "array<vec2<f32>>"),
    ...(outliers > 0 ? [output(2, "outlier_values", "array<u32>")] : []),
  ];
}
