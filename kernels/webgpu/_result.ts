// How a product's shader stores its sums: which buffer, which type, through which nonlinearity.
import { float16RowBytes, type ResultOptions } from "../specs.ts";
import { ACTIVATIONS } from "./_activations.ts";
import type { WebGpuCapabilities } from "./capabilities.ts";
import { type Binding, output } from "./program.ts";

type Shaped = { readonly columns: number } & ResultOptions;

/** Whether a device stores this type of result; otherwise the shader must leave it to `finishPass`. */
export function storesResult({ resultType }: ResultOptions, { float16 }: WebGpuCapabilities): boolean {
  return resultType !== "float16" || float16;
}

/** Whether a spec asks for float32 as summed, which is all that some variants store. */
export function isPlainResult({ activation, resultType }: ResultOptions): boolean {
  return activation === undefined && resultType !== "float16";
}

/** Directives of a shader that stores such a result. */
export function resultEnables({ resultType }: ResultOptions): readonly string[] {
  return resultType === "float16" ? ["f16"] : [];
}

/** The binding `y`. */
export function resultBinding({ resultType }: ResultOptions): Binding {
  return output(0, "y", resultType === "float16" ? "array<f16>" : "array<f32>");
}

/** Uniforms that `storeResult` reads besides `columns`. */
export function resultUniforms({ columns, resultType }: Shaped): Readonly<Record<string, number>> {
  return resultType === "float16" ? { y_stride: float16RowBytes(columns) / 2 } : {};
}

/** WGSL functions that `storeResult` calls. */
export function resultFunctions({ activation }: ResultOptions): string {
  return activation === undefined ? "" : ACTIVATIONS[activation]("f32");
}

/** WGSL expressions of the sizes of a result. */
interface ResultSizes {
  readonly columns: string;
  /** Float16 values from one row to the next. */
  readonly stride: string;
}

const UNIFORM_SIZES: ResultSizes = { columns: "uniforms.columns", stride: "uniforms.y_stride" };

/** The sizes as constants of the shader. */
export function constantSizes({ columns }: Shaped): ResultSizes {
  return { columns: `${columns}u`, stride: `${float16RowBytes(columns) / 2}u` };
}

/** WGSL statements that store a sum, bias included, as the result at `row` and `column`. */
export function storeResult(
  { activation, resultType }: ResultOptions,
  sum: string,
  { columns, stride }: ResultSizes = UNIFORM_SIZES,
): string {
  const value = activation === undefined ? sum : `f(${sum})`;
  if (resultType !== "float16") return `y[row * ${columns} + column] = ${value};`;
  // Whoever has the last column also clears the padding of its row.
  return `y[row * ${stride} + column] = f16(clamp(${value}, -65504.0, 65504.0));
          if (column + 1u == ${columns}) {
            for (var pad = ${columns}; pad < ${stride}; pad++) { y[row * ${stride} + pad] = 0.0h; }
          }`;
}
