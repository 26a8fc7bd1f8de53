// Products that do more than sum: a nonlinearity, float16 results, both.
import type { Activation, KernelSpec, ResultOptions } from "../../kernels/specs.ts";
import { createRandom } from "../../quant/mod.ts";
import type { Case } from "./_cases.ts";
import { codeRows, halfRows, normals, splitColumns, storedNormals } from "./_inputs.ts";

const ACTIVATIONS: readonly Activation[] = ["silu", "relu", "gelu", "gelu_tanh"];
/** Rows of a float16 result that need padding and rows that do not, few rows and many. */
const SHAPES = [[1, 33, 64], [5, 16, 70], [17, 70, 62], [33, 129, 258]] as const;

/** Every case. Their random numbers are their own, so that they change no other case. */
export function resultCases(): Case[] {
  const random = createRandom(7);
  const options: ResultOptions[] = [
    ...ACTIVATIONS.map((activation): ResultOptions => ({ activation })),
    { resultType: "float16" },
    { resultType: "float16", activation: "silu" },
  ];
  return SHAPES.flatMap(([rows, columns, inner], s) =>
    options.flatMap((result, i): Case[] => {
      const bias = (s + i) % 2 === 0;
      const outliers = [0, 5, 16][(s + i) % 3];
      const shape = { rows, columns, inner, bias, ...result };
      const biases = bias ? [normals(random, columns)] : [];
      const positive = (count: number, size: number): Float32Array<ArrayBuffer> =>
        Float32Array.from({ length: count }, () => size * (0.1 + random.uniform()));
      const codes = { activationBits: 4, weightBits: 4 } as const;
      const groupSize = i % 2 === 0 ? 32 : 64;
      // Large enough that some float16 results saturate.
      const size = result.resultType === "float16" && s === 3 ? 300 : 0.05;
      const qparams = normals(random, rows * 2);
      for (let row = 0; row < rows; row++) qparams[row * 2] = 0.01 + random.uniform();
      const { base, outlier } = splitColumns(random, inner + outliers, outliers);
      const make = (spec: KernelSpec, ...inputs: ArrayBufferView<ArrayBuffer>[]): Case => ({
        spec,
        inputs: [...inputs, ...biases],
        comparisons: [result.resultType === "float16" ? "halves" : "float"],
        ...(spec.op === "dense_linear" ? { magnitude: inner } : {}),
      });
      return [
        make(
          { op: "dense_linear", weightType: (["float32", "float16", "bfloat16"] as const)[i % 3], ...shape },
          normals(random, rows * inner),
          storedNormals(random, columns * inner, (["float32", "float16", "bfloat16"] as const)[i % 3]),
        ),
        make(
          { op: "quik_linear", outliers, ...codes, ...shape },
          codeRows(random, rows, inner, 4),
          qparams,
          halfRows(random, rows, outliers),
          codeRows(random, columns, inner, 4),
          positive(columns, size),
          normals(random, columns),
          halfRows(random, columns, outliers),
        ),
        // Few values, since a code at a tie may differ on a GPU.
        ...(s < 2
          ? [make(
            { op: "quik_layer", outliers, ...codes, ...shape },
            normals(random, rows * (inner + outliers)),
            base,
            outlier,
            codeRows(random, columns, inner, 4),
            positive(columns, size),
            normals(random, columns),
            halfRows(random, columns, outliers),
          )]
          : []),
        make(
          { op: "grouped_linear", groupSize, ...codes, ...shape },
          codeRows(random, rows, inner, 4),
          positive(rows * Math.ceil(inner / groupSize), 1),
          codeRows(random, columns, inner, 4),
          positive(columns * Math.ceil(inner / groupSize), size),
        ),
      ];
    })
  );
}
