// One dense product as a pass: what dense_linear runs, and what other ops run on scratch memory of theirs.
import type { FloatType } from "../specs.ts";
import { floatRowsOperand } from "./_operands.ts";
import { rowBlock, rowShader, rowWorkgroups, unitVectors } from "./_rows.ts";
import { multiplyFloat, tiledShader, type TilePhase, type TileShape, tileWorkgroups } from "./_tile.ts";
import { type Binding, type ComputePass, definePass } from "./program.ts";

/** `y = left * right^T (+ bias)`, or added to y. */
export interface DenseProduct {
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  /** Storage type of `right`; `left` and y are float32. */
  readonly weightType: FloatType;
  /** Makes the binding of `left` from its name and type. */
  left(name: string, type: string): Binding;
  /** Makes the binding of `right` from its name and type. */
  right(name: string, type: string): Binding;
  /** The binding named `y`, an `array<f32>`. */
  readonly y: Binding;
  /** The binding named `bias`, an `array<f32>`. */
  readonly bias?: Binding;
  /** Whether the product is added to what y holds. */
  readonly accumulate?: boolean;
}

/**
 * Writes the pass.
 *
 * @param product What to compute.
 * @param shape The tile, or `undefined` for the kernel for few rows.
 */
export function densePass(product: DenseProduct, shape: TileShape | undefined): ComputePass {
  const { rows, columns, inner, bias, accumulate } = product;
  const left = floatRowsOperand({ buffer: "left", rows: "uniforms.rows" }, "float32", inner);
  const right = floatRowsOperand({ buffer: "right", rows: "uniforms.columns" }, product.weightType, inner);
  const phase: Omit<TilePhase, "steps"> = {
    left: left.operand,
    right: right.operand,
    accumulator: "acc",
    accumulatorType: "f32",
    multiply: multiplyFloat,
  };
  const result = (sum: string): string =>
    `y[row * uniforms.columns + column] ${accumulate ? "+=" : "="} ${sum}${bias ? " + bias[column]" : ""};`;
  const depth = shape?.depth ?? unitVectors(phase);
  return definePass({
    bindings: [
      product.left("left", left.binding),
      product.right("right", right.binding),
      ...(bias ? [bias] : []),
      product.y,
    ],
    uniforms: { rows, columns, inner, steps: Math.ceil(inner / (4 * depth)) },
    workgroups: shape ? tileWorkgroups(shape, rows, columns) : rowWorkgroups(columns),
    body: shape
      ? tiledShader(shape, [{ ...phase, steps: "uniforms.steps" }], {
        wordType: "f32",
        perElement: (sum) => result(sum(0)),
      })
      : rowShader(rowBlock(rows), [{ ...phase, units: "uniforms.steps" }], (sum) => result(sum(0))),
  });
}
