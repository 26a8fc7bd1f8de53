// What a product leaves to a pass of its own, where a device binds too few buffers to fuse a bias or has no float16.
import { float16RowBytes, type ResultOptions } from "../specs.ts";
import { ACTIVATIONS } from "./_activations.ts";
import {
  type ComputePass,
  definePass,
  input,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  output,
  scratch,
} from "./program.ts";

/** What is left to do. */
export interface Finish extends ResultOptions {
  readonly rows: number;
  readonly columns: number;
  /** Number of the input that holds the bias, if it is still to be added. */
  readonly biasInput?: number;
}

/**
 * Finishes float32 sums: in place in output 0, or from scratch buffer 0 to float16 rows in output 0.
 *
 * @param finish What to do.
 */
export function finishPass(finish: Finish): ComputePass {
  const { rows, columns, biasInput, activation, resultType } = finish;
  const half = resultType === "float16";
  const words = half ? float16RowBytes(columns) / 4 : columns;
  const sums = half ? "sums" : "y";
  const value = `${sums}[row * uniforms.columns + column]${biasInput === undefined ? "" : " + bias[column]"}`;
  return definePass({
    bindings: [
      ...(half ? [scratch(0, "sums", "array<f32>", "read")] : []),
      ...(biasInput === undefined ? [] : [input(biasInput, "bias", "array<f32>")]),
      output(0, "y", half ? "array<u32>" : "array<f32>"),
    ],
    uniforms: { count: rows * words, columns, words },
    workgroups: linearWorkgroups(Math.ceil(rows * words / 256)),
    body: `
${activation === undefined ? "" : ACTIVATIONS[activation]("f32")}
fn finished(row: u32, column: u32) -> f32 {
  return ${activation === undefined ? value : `f(${value})`};
}
${half ? HALF : ""}
${linearMain(256)}
  let i = ${LINEAR_WORKGROUP} * 256u + local;
  if (i >= uniforms.count) { return; }
  let row = i / uniforms.words;
  let column = i % uniforms.words;
  y[i] = ${
      half
        ? "pack2x16float(vec2<f32>(half(row, column * 2u), half(row, column * 2u + 1u)))"
        : "finished(row, column)"
    };
}`,
  });
}

const HALF = `
fn half(row: u32, column: u32) -> f32 {
  if (column >= uniforms.columns) { return 0.0; }
  return clamp(finished(row, column), -65504.0, 65504.0);
}`;
