// The buffers of the QUIK product, as every one of its variants that reads codes as words binds them.
import type { QuikLinearSpec } from "../specs.ts";
import { type Binding, input, output } from "./program.ts";

/** Bindings of a `quik_linear` shader; those of outliers and bias only where the spec has them. */
export function quikBindings({ outliers, bias }: QuikLinearSpec): Binding[] {
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
    output(0, "y", "array<f32>"),
  ];
}
