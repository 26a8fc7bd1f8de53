// Conformance cases of weight-only products through a table.
import type { CodebookLinearSpec } from "../../kernels/specs.ts";
import type { Random } from "../../quant/mod.ts";
import type { Case } from "./_cases.ts";
import { codeRows, normals, storedNormals } from "./_inputs.ts";

/** Cases of `codebook_linear`. */
export function codebookCases(random: Random): Case[] {
  return [...formatCases(random), ...float16CodebookCases(random), ...evenLevelCases(random)];
}

function formatCases(random: Random): Case[] {
  const shapes = [[1, 33, 64, 32], [3, 17, 96, 32], [17, 66, 130, 64], [2, 40, 256, 256], [1, 5, 70, 16]];
  const scaleTypes = ["float32", "float16", "float8E4M3", "float8E8M0"] as const;
  return shapes.flatMap(([rows, columns, inner, groupSize], i) =>
    ([4, 2, 3, 8] as const).map((bits, j): Case => {
      const scaleType = scaleTypes[(i + j) % 4];
      const zeroPoint = (i + j) % 3 === 0;
      const bias = (i + j) % 2 === 0;
      const groups = columns * Math.ceil(inner / groupSize);
      const spec: CodebookLinearSpec = {
        op: "codebook_linear",
        rows,
        columns,
        inner,
        bits,
        groupSize,
        scaleType,
        zeroPoint,
        bias,
      };
      const scales = {
        float32: () => normals(random, groups),
        float16: () => storedNormals(random, groups, "float16"),
        float8E4M3: () => Uint8Array.from({ length: groups }, () => 0x30 + random.integer(0x10)),
        float8E8M0: () => Uint8Array.from({ length: groups }, () => 124 + random.integer(6)),
      }[scaleType]();
      const inputs: ArrayBufferView<ArrayBuffer>[] = [
        normals(random, rows * inner),
        codeRows(random, columns, inner, bits),
        normals(random, 1 << bits),
        scales,
      ];
      if (zeroPoint) inputs.push(normals(random, groups));
      if (bias) inputs.push(normals(random, columns));
      return { spec, inputs, comparisons: ["float"], magnitude: inner };
    })
  );
}

/** Values of x, and products of levels and scales, that float16 holds: rounding to it changes nothing. */
function float16CodebookCases(random: Random): Case[] {
  const shapes = [[33, 70, 64, 32], [64, 64, 72, 96], [150, 140, 200, 64], [1, 33, 64, 32]];
  return shapes.map(([rows, columns, inner, groupSize], i): Case => {
    const groups = columns * Math.ceil(inner / groupSize);
    const zeroPoint = i % 2 === 1;
    const bias = i % 2 === 0;
    const spec: CodebookLinearSpec = {
      op: "codebook_linear",
      rows,
      columns,
      inner,
      bits: 4,
      groupSize,
      scaleType: "float16",
      zeroPoint,
      bias,
      allowFloat16: true,
    };
    const inputs: ArrayBufferView<ArrayBuffer>[] = [
      Float32Array.from({ length: rows * inner }, () => random.integer(4097) / 1024 - 2),
      codeRows(random, columns, inner, 4),
      Float32Array.from({ length: 16 }, () => random.integer(17) / 4 - 2),
      Uint16Array.from({ length: groups }, () => (10 + random.integer(8)) << 10),
    ];
    if (zeroPoint) inputs.push(Float32Array.from({ length: groups }, () => random.integer(9) / 4 - 1));
    if (bias) inputs.push(normals(random, columns));
    return { spec, inputs, comparisons: ["float"], magnitude: inner };
  });
}

/** Tables of evenly spaced levels, which backends may compute instead of looking up. */
function evenLevelCases(random: Random): Case[] {
  const shapes = [
    [1, 33, 64, 32],
    [2, 70, 96, 32],
    [1, 40, 70, 70],
    [4, 9, 1000, 128],
    [1, 300, 256, 64],
    [2, 70, 1280, 128],
    [1, 9, 13312, 128],
    [16, 21, 1024, 128],
    [7, 40, 4096, 128],
  ];
  return shapes.map(([rows, columns, inner, groupSize], i): Case => {
    const groups = columns * Math.ceil(inner / groupSize);
    const zeroPoint = i % 2 === 1;
    const spec: CodebookLinearSpec = {
      op: "codebook_linear",
      rows,
      columns,
      inner,
      bits: 4,
      groupSize,
      scaleType: i % 2 === 0 ? "float32" : "float16",
      zeroPoint,
      bias: i === 0,
      evenLevels: true,
    };
    const inputs: ArrayBufferView<ArrayBuffer>[] = [
      normals(random, rows * inner),
      codeRows(random, columns, inner, 4),
      Float32Array.from({ length: 16 }, (_, code) => code * 0.25 - 2),
      storedNormals(random, groups, i % 2 === 0 ? "float32" : "float16"),
    ];
    if (zeroPoint) inputs.push(normals(random, groups));
    if (i === 0) inputs.push(normals(random, columns));
    return { spec, inputs, comparisons: ["float"], magnitude: inner };
  });
}
