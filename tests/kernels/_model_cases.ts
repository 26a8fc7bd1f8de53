// Conformance cases of the ops that a model has besides its products: rows, norms, attention, element-wise functions
// and sums over tokens.
import type { Random } from "../../quant/mod.ts";
import type { Case } from "./_cases.ts";
import { integers, normals, storedNormals } from "./_inputs.ts";

/** Every case of these ops. */
export function modelCases(random: Random): Case[] {
  return [
    ...rowCases(random),
    ...attentionCases(random),
    ...elementwiseCases(random),
    ...statisticsCases(random),
  ];
}

function rowCases(random: Random): Case[] {
  const positions = Uint32Array.of(4, 0, 2);
  const tables = ["float32", "float16", "bfloat16"] as const;
  return [
    ...tables.map((tableType): Case => ({
      spec: { op: "gather_rows", rows: 5, columns: 38, tableType },
      inputs: [storedNormals(random, 11 * 38, tableType), Uint32Array.of(0, 10, 3, 3, 7)],
      comparisons: ["exact"],
    })),
    {
      spec: { op: "scatter_rows", rows: 3, columns: 10 },
      inputs: [normals(random, 30), positions],
      initial: [normals(random, 50)],
      comparisons: ["exact"],
    },
    ...[[1, 8], [5, 70], [3, 256]].flatMap(([rows, columns]): Case[] => [
      {
        spec: { op: "rms_norm", rows, columns, epsilon: 1e-5 },
        inputs: [normals(random, rows * columns), normals(random, columns)],
        comparisons: ["float"],
      },
      {
        spec: { op: "layer_norm", rows, columns, epsilon: 1e-5 },
        inputs: [normals(random, rows * columns, 3), normals(random, columns), normals(random, columns)],
        comparisons: ["float"],
      },
    ]),
    ...[[1, 2, 8], [7, 3, 32], [4, 1, 64]].map(([rows, heads, headSize]): Case => {
      const angles = normals(random, 9 * headSize / 2, 10);
      return {
        spec: { op: "rope", rows, heads, headSize },
        inputs: [
          normals(random, rows * heads * headSize),
          angles.map(Math.cos),
          angles.map(Math.sin),
          integers(random, rows, 9),
        ],
        comparisons: ["float"],
      };
    }),
  ];
}

function attentionCases(random: Random): Case[] {
  // rows, heads, kvHeads, headSize, capacity, window, first position
  const shapes = [
    [1, 2, 1, 8, 5, 0, 3],
    [6, 4, 2, 16, 6, 0, 0],
    [33, 4, 4, 32, 40, 0, 7],
    [70, 3, 1, 64, 70, 0, 0],
    [20, 2, 2, 32, 32, 5, 4],
    [1, 8, 4, 32, 300, 0, 290],
    [3, 2, 1, 80, 9, 0, 2],
  ];
  return shapes.map(([rows, heads, kvHeads, headSize, capacity, window, first]) => ({
    spec: { op: "attention", rows, heads, kvHeads, headSize, capacity, window },
    inputs: [
      normals(random, rows * heads * headSize),
      normals(random, capacity * kvHeads * headSize),
      normals(random, capacity * kvHeads * headSize),
      Uint32Array.from({ length: rows }, (_, i) => first + i),
    ],
    comparisons: ["float"],
  }));
}

function elementwiseCases(random: Random): Case[] {
  const activations = ["silu", "relu", "gelu", "gelu_tanh"] as const;
  const wide = Float32Array.from({ length: 403 }, (_, i) => (i - 201) / 8);
  return [
    ...activations.flatMap((activation): Case[] => [
      { spec: { op: "activation", count: 403, activation }, inputs: [wide], comparisons: ["float"] },
      {
        spec: { op: "gated_activation", count: 403, activation },
        inputs: [wide, normals(random, 403)],
        comparisons: ["float"],
      },
    ]),
    ...[1, 403].map((count): Case => ({
      spec: { op: "add", count },
      inputs: [normals(random, count), normals(random, count)],
      comparisons: ["exact"],
    })),
  ];
}

function statisticsCases(random: Random): Case[] {
  const shapes = [[1, 3], [7, 70], [70, 33], [130, 128]];
  return [
    ...shapes.flatMap(([rows, columns]): Case[] => [
      {
        spec: { op: "gram", rows, columns },
        inputs: [normals(random, rows * columns)],
        initial: [new Float32Array(columns * columns).fill(0.5)],
        comparisons: ["float"],
        magnitude: rows,
      },
      {
        spec: { op: "column_absmax", rows, columns },
        inputs: [normals(random, rows * columns)],
        initial: [Float32Array.from({ length: columns }, () => random.uniform() * 2)],
        comparisons: ["exact"],
      },
    ]),
    ...[[1, 1], [5, 131], [3, 5000]].map(([rows, columns]): Case => ({
      // Rounded values have equals, of which the lowest index counts.
      spec: { op: "argmax", rows, columns },
      inputs: [normals(random, rows * columns).map(Math.trunc)],
      comparisons: ["exact"],
    })),
    ...[[1, 2], [5, 131], [3, 4096]].map(([rows, columns]): Case => ({
      spec: { op: "token_nll", rows, columns },
      inputs: [normals(random, rows * columns, 10), integers(random, rows, columns)],
      comparisons: ["float"],
    })),
  ];
}
