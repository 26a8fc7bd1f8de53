// What happens to the sums of a product on subgroup matrices: through workgroup memory, where every invocation holds
// neighbors of known place. Straight to the result would be 4-byte writes: slower.
import type { ResultOptions } from "../specs.ts";
import { ACTIVATIONS } from "./_activations.ts";
import { accumulators, type MatrixShape, sumRow } from "./_matrix_tile.ts";
import { type Binding, output } from "./program.ts";

/** What is done with sums on their way out, four neighboring columns at a time. */
export interface MatrixEpilogue {
  /** Statements that may read `column`, the first of the four, once per invocation. */
  readonly perColumns?: string;
  /** Statements per row; `row` is known. */
  readonly perRow?: string;
  /** WGSL expression of the four results from `sums_here`, the four sums. */
  readonly result: string;
}

/**
 * Passes the sums of a subgroup through workgroup memory, sixteen rows at a time, so that every invocation holds four
 * neighboring sums of known place.
 *
 * @param shape The tile.
 * @param prefix Accumulators to read, of type `from`.
 * @param epilogue What is computed.
 * @param use Statements given `results`, a vector of four, at `row` and `column`; `place` is its place in `tile`.
 * @param after Statements after each sixteen rows `i`.
 */
export function drainSums(
  shape: MatrixShape,
  prefix: string,
  epilogue: MatrixEpilogue & { readonly from: "i32" | "f32" },
  use: (results: string, place: string) => string,
  after: (i: number) => string = () => "",
): string {
  const across = 4 * shape.matrices[1];
  const rowStride = sumRow(shape);
  const rowsPerPass = 32 / across;
  return `
  {
    let column = column0 + subgroup_column + 4u * (lane % ${across}u);
    ${epilogue.perColumns ?? ""}
${
    accumulators(shape, prefix).map((names, i) => `
    ${
      names.map((name, j) =>
        `subgroupMatrixStore<row_major>(&tile, sums + ${8 * j}u, ${name}, ${rowStride}u);`
      ).join(
        "\n    ",
      )
    }
    workgroupBarrier();
    for (var t = 0u; t < ${16 / rowsPerPass}u; t++) {
      let line = t * ${rowsPerPass}u + lane / ${across}u;
      let row = row0 + subgroup_row + ${16 * i}u + line;
      let place = sums + line * ${rowStride}u + 2u * (lane % ${across}u);
      let sums_here = bitcast<vec4<${epilogue.from}>>(vec4<u32>(tile[place], tile[place + 1u]));
      ${epilogue.perRow ?? ""}
      let results = ${epilogue.result};
      ${use("results", "place")}
    }
    workgroupBarrier();
    ${after(i)}`).join("")
  }
  }`;
}

/** Loads sums that `drainSums` left in workgroup memory as float accumulators of matrix row `i`. */
export function reloadSums(shape: MatrixShape, prefix: string, i: number): string {
  return accumulators(shape, prefix)[i].map((name, j) =>
    `${name} = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&tile, sums + ${8 * j}u, ${
      sumRow(shape)
    }u);`
  ).join("\n    ") + "\n    workgroupBarrier();";
}

/** Shape of a result and what becomes of it. */
export type MatrixResult = { readonly columns: number } & ResultOptions;

/** Whether results can be stored so: float16 goes in pairs of two, and leaves no padding. */
export function storesMatrixResult({ columns, resultType }: MatrixResult): boolean {
  return resultType !== "float16" || columns % 8 === 0;
}

/** WGSL functions that `storeResults` calls. */
export function matrixResultFunctions({ activation, resultType }: MatrixResult): string {
  return `${activation === undefined ? "" : ACTIVATIONS[activation]("vec4<f32>")}
${
    resultType === "float16"
      ? "fn halves(v: vec4<f32>) -> vec2<u32> { return vec2<u32>(pack2x16float(v.xy), pack2x16float(v.zw)); }"
      : ""
  }`;
}

/** Writes four results to `y` where they lie inside the matrix; `y` holds vectors if the column count allows it. */
export function storeResults({ columns, activation, resultType }: MatrixResult, results: string): string {
  const values = activation === undefined ? results : `f(${results})`;
  if (columns % 4 === 0) {
    const stored = resultType === "float16"
      ? `halves(clamp(${values}, vec4<f32>(-65504.0), vec4<f32>(65504.0)))`
      : values;
    return `if (row < uniforms.rows && column < uniforms.columns) { y[(row * uniforms.columns + column) / 4u] = ${stored}; }`;
  }
  return `if (row < uniforms.rows) {
        let values_here = ${values};
        for (var c = 0u; c < 4u && column + c < uniforms.columns; c++) {
          y[row * uniforms.columns + column + c] = values_here[c];
        }
      }`;
}

/** The binding `y` for `storeResults`, given the type of the sums. */
export function matrixResultBinding({ columns, resultType }: MatrixResult, scalar: "i32" | "f32"): Binding {
  if (resultType === "float16") return output(0, "y", "array<vec2<u32>>");
  return output(0, "y", columns % 4 === 0 ? `array<vec4<${scalar}>>` : `array<${scalar}>`);
}
