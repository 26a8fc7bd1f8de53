// The cases of FBGEMM's 8-bit products.
import { splitWeightOutliers } from "../../kernels/weight_outliers.ts";
import type { Random } from "../../quant/mod.ts";
import type { Case } from "./_cases.ts";
import { codeRows, normals } from "./_inputs.ts";

/** Every case, ragged shapes included. */
export function fbgemmCases(random: Random): Case[] {
  return [[1, 1, 2], [1, 37, 64], [5, 66, 130], [17, 70, 48], [33, 129, 300]].flatMap(
    ([rows, columns, inner], i): Case[] => {
      const weight = new Int8Array(codeRows(random, columns, inner, 8).buffer);
      const stride = weight.length / columns;
      const dense = Int8Array.from(
        { length: columns * inner },
        (_, j) => weight[Math.floor(j / inner) * stride + j % inner],
      );
      const offsets = Int32Array.from(
        { length: columns },
        (_, column) =>
          dense.subarray(column * inner, (column + 1) * inner).reduce((sum, code) => sum + code, 0),
      );
      const bias = i % 2 === 0;
      // Ties of a scale that every device divides by exactly; elsewhere values far from ties.
      const exact = i === 1;
      const inputScale = exact ? 0.5 : 0.02;
      const affine = [
        Float32Array.from(
          { length: rows * inner },
          () =>
            exact
              ? (random.integer(401) - 200) / 4
              : (random.integer(301) - 150 + (random.uniform() - 0.5) * 0.8) * inputScale,
        ),
        Float32Array.of(inputScale, 100 + i, 0.5 + i, 130),
        weight,
        Float32Array.from({ length: columns }, () => 0.001 + random.uniform() / 50),
        Int32Array.from({ length: columns }, () => random.integer(21) - 10),
        offsets,
        ...(bias ? [normals(random, columns)] : []),
      ];
      const split = splitWeightOutliers(dense, inner);
      return [
        ...(["float32", "uint8"] as const).map((outputType): Case => ({
          spec: { op: "affine_linear", rows, columns, inner, outputType, bias },
          inputs: affine,
          comparisons: ["requantized"],
        })),
        {
          spec: { op: "outlier_matmul", rows, columns, inner, remainders: split.indices.length },
          inputs: [codeRows(random, rows, inner, 8), split.main, split.starts, split.indices, split.values],
          comparisons: ["exact"],
        },
      ];
    },
  );
}
