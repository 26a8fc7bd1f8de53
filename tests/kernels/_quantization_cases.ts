// Cases of the ops in kernels/quantization_specs.ts.
import { codeThresholds, float4E2M1, float8E4M3, int3, int4, int8, nf4 } from "../../formats/mod.ts";
import type { CodeBits } from "../../kernels/specs.ts";
import { hadamardMatrix, type Random } from "../../quant/mod.ts";
import type { Case } from "./_cases.ts";
import { gptqCases } from "./_gptq_cases.ts";
import { codeRows, normals, storedNormals } from "./_inputs.ts";

/** Cases of every op of the file. */
export function quantizationCases(random: Random): Case[] {
  return [
    ...hadamardCases(random),
    ...quantizeGroupsCases(random),
    ...dequantizeGroupsCases(random),
    ...groupedLinearCases(random),
    ...tableLinearCases(random),
    ...branchCases(random),
    ...gptqCases(random),
  ];
}

function hadamardCases(random: Random): Case[] {
  // rows, columns, blockSize, order
  const shapes = [[1, 1, 1, 1], [3, 8, 8, 1], [5, 96, 32, 1], [2, 24, 24, 12], [3, 112, 56, 28], [
    1,
    8192,
    8192,
    1,
  ]];
  return shapes.flatMap(([rows, columns, blockSize, order]) =>
    [false, true].map((inverse): Case => {
      const signs = rows !== 5;
      const inputs: ArrayBufferView<ArrayBuffer>[] = [normals(random, rows * columns)];
      if (order > 1) inputs.push(Float32Array.from(hadamardMatrix(order)!));
      if (signs) inputs.push(Float32Array.from({ length: columns }, () => random.sign()));
      return {
        spec: { op: "hadamard", rows, columns, blockSize, order, signs, inverse },
        inputs,
        comparisons: ["float"],
      };
    })
  );
}

function quantizeGroupsCases(random: Random): Case[] {
  const shapes = [[1, 5, 5], [3, 70, 32], [17, 256, 16], [2, 1000, 1000], [4, 33, 600]];
  return shapes.flatMap(([rows, columns, groupSize]) =>
    [int4, int8, int3, float4E2M1, float8E4M3, nf4].map((format): Case => {
      const { thresholds, codes } = codeThresholds(format);
      const x = normals(random, rows * columns, 3);
      if (rows > 1) x.fill(0, 0, columns);
      const bits = format.bits as 3 | 4 | 8;
      return {
        spec: { op: "quantize_groups", rows, columns, groupSize, bits, limit: format.max },
        inputs: [x, thresholds, codes],
        comparisons: ["exact", "float"],
      };
    })
  );
}

function dequantizeGroupsCases(random: Random): Case[] {
  const shapes = [[1, 5, 5], [3, 70, 32], [17, 256, 16], [5, 33, 7]];
  const scaleTypes = ["float32", "float16"] as const;
  return shapes.flatMap(([rows, columns, groupSize], i) =>
    ([2, 3, 4, 8] as const).map((bits, j): Case => {
      const groups = rows * Math.ceil(columns / groupSize);
      const scaleType = scaleTypes[(i + j) % 2];
      const zeroPoint = j % 2 === 0;
      const inputs = [
        codeRows(random, rows, columns, bits),
        normals(random, 1 << bits),
        storedNormals(random, groups, scaleType),
      ];
      if (zeroPoint) inputs.push(normals(random, groups));
      return {
        spec: { op: "dequantize_groups", rows, columns, groupSize, bits, scaleType, zeroPoint },
        inputs,
        comparisons: ["float"],
      };
    })
  );
}

function groupedLinearCases(random: Random): Case[] {
  const shapes = [
    [1, 65, 130, 32],
    [3, 17, 256, 64],
    [17, 70, 200, 128],
    [33, 66, 96, 32],
    [2, 5, 62, 62],
    [150, 140, 640, 64],
    [40, 200, 1000, 256],
  ];
  const widths: readonly (readonly [CodeBits, CodeBits])[] = [[4, 4], [8, 4], [8, 8]];
  return shapes.flatMap(([rows, columns, inner, groupSize]) =>
    widths.map(([activationBits, weightBits], j): Case => {
      const groups = Math.ceil(inner / groupSize);
      const bias = j % 2 === 0;
      const inputs: ArrayBufferView<ArrayBuffer>[] = [
        codeRows(random, rows, inner, activationBits),
        Float32Array.from({ length: rows * groups }, () => 0.01 + random.uniform()),
        codeRows(random, columns, inner, weightBits),
        Float32Array.from({ length: columns * groups }, () => 0.01 + random.uniform()),
      ];
      if (bias) inputs.push(normals(random, columns));
      return {
        spec: { op: "grouped_linear", rows, columns, inner, groupSize, activationBits, weightBits, bias },
        inputs,
        comparisons: ["float"],
      };
    })
  );
}

function tableLinearCases(random: Random): Case[] {
  const shapes = [[1, 33, 64, 64], [3, 17, 96, 32], [17, 66, 130, 130], [12, 5, 70, 10]];
  return shapes.flatMap(([rows, columns, inner, groupSize]) =>
    ([2, 3, 4] as const).map((bits): Case => {
      const bias = bits === 3;
      const inputs: ArrayBufferView<ArrayBuffer>[] = [
        normals(random, rows * inner),
        codeRows(random, columns, inner, bits),
        normals(random, columns * Math.ceil(inner / groupSize) * 2 ** bits),
      ];
      if (bias) inputs.push(normals(random, columns));
      return {
        spec: { op: "table_linear", rows, columns, inner, bits, groupSize, bias },
        inputs,
        comparisons: ["float"],
        magnitude: inner,
      };
    })
  );
}

function branchCases(random: Random): Case[] {
  return [[1, 5, 7], [17, 70, 33], [66, 30, 64]].flatMap(([rows, columns, inner]): Case[] => {
    const starts = new Uint32Array(columns + 1);
    for (let c = 0; c < columns; c++) starts[c + 1] = starts[c] + random.integer(4);
    const nonzeros = starts[columns];
    const rank = Math.min(columns, 8);
    const initial = [normals(random, rows * columns)];
    return [
      {
        spec: { op: "sparse_add", rows, columns, inner, nonzeros },
        inputs: [
          normals(random, rows * inner),
          starts,
          Uint32Array.from({ length: nonzeros }, () => random.integer(inner)),
          normals(random, nonzeros),
        ],
        initial,
        comparisons: ["float"],
      },
      {
        spec: { op: "low_rank_add", rows, columns, inner, rank, weightType: "float16" },
        inputs: [
          normals(random, rows * inner),
          storedNormals(random, rank * inner, "float16"),
          storedNormals(random, columns * rank, "float16"),
        ],
        initial,
        comparisons: ["float"],
        magnitude: inner * rank,
      },
    ];
  });
}
