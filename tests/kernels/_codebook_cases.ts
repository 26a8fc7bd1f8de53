// Conformance cases of weight-only products through a table.
import type { CodebookLinearSpec, ScaleType } from "../../kernels/specs.ts";
import type { Random } from "../../quant/mod.ts";
import type { Case } from "./_cases.ts";
import { codeRows, normals, storedNormals } from "./_inputs.ts";

const SCALE_TYPES: readonly ScaleType[] = ["float32", "float16", "float8E4M3", "float8E8M0"];

/** Cases of `codebook_linear`. */
export function codebookCases(random: Random): Case[] {
  return [
    ...formatCases(random),
    ...float16CodebookCases(random),
    ...evenLevelCases(random, false),
    ...evenLevelCases(random, true),
    ...unevenLevelCases(random),
  ];
}

/** Scales of a storage type. */
function scalesOf(random: Random, count: number, type: ScaleType): ArrayBufferView<ArrayBuffer> {
  switch (type) {
    case "float32":
      return normals(random, count);
    case "float16":
      return storedNormals(random, count, "float16");
    case "float8E4M3":
      return Uint8Array.from({ length: count }, () => 0x30 + random.integer(0x10));
    case "float8E8M0":
      return Uint8Array.from({ length: count }, () => 124 + random.integer(6));
  }
}

/** Values of x that float16 holds. */
const exactHalves = (random: Random, count: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, () => random.integer(4097) / 1024 - 2);

/** Scales from 1/32 to 1 in float16, by which a level of few bits can be multiplied exactly. */
const powersOfTwo = (random: Random, count: number): Uint16Array<ArrayBuffer> =>
  Uint16Array.from({ length: count }, () => (10 + random.integer(6)) << 10);

/** Zero points of few bits. */
const exactZeros = (random: Random, count: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, () => random.integer(9) / 4 - 1);

/** Error of a sum of terms of size 2 with x rounded to 15 bits of its largest neighbor, six standard deviations. */
const DIGITS_TOLERANCE = 2 ** -12;

/** A case of a spec and a table. Where x may be rounded to float16, its values are such that this changes nothing. */
function codebookCase(
  random: Random,
  given: Omit<CodebookLinearSpec, "op">,
  table: Float32Array<ArrayBuffer>,
): Case {
  const spec: CodebookLinearSpec = { op: "codebook_linear", ...given };
  const { rows, columns, inner, bits, groupSize, scaleType, zeroPoint, bias, evenLevels } = spec;
  const exact = spec.allowFloat16 === true;
  const groups = columns * Math.ceil(inner / groupSize);
  const inputs: ArrayBufferView<ArrayBuffer>[] = [
    exact ? exactHalves(random, rows * inner) : normals(random, rows * inner),
    codeRows(random, columns, inner, bits),
    table,
    exact ? powersOfTwo(random, groups) : scalesOf(random, groups, scaleType),
  ];
  if (zeroPoint) inputs.push(exact ? exactZeros(random, groups) : normals(random, groups));
  if (bias) inputs.push(normals(random, columns));
  const tolerance = exact && evenLevels ? { tolerance: DIGITS_TOLERANCE } : {};
  return { spec, inputs, comparisons: ["float"], magnitude: inner, ...tolerance };
}

function formatCases(random: Random): Case[] {
  const shapes = [[1, 33, 64, 32], [3, 17, 96, 32], [17, 66, 130, 64], [2, 40, 256, 256], [1, 5, 70, 16]];
  return shapes.flatMap(([rows, columns, inner, groupSize], i) =>
    ([4, 2, 3, 8] as const).map((bits, j): Case => {
      const scaleType = SCALE_TYPES[(i + j) % 4];
      const zeroPoint = (i + j) % 3 === 0;
      const bias = (i + j) % 2 === 0;
      const spec = { rows, columns, inner, bits, groupSize, scaleType, zeroPoint, bias };
      return codebookCase(random, spec, normals(random, 1 << bits));
    })
  );
}

/** Tables of few bits, whose products with the scales float16 holds. */
function float16CodebookCases(random: Random): Case[] {
  const shapes = [[33, 70, 64, 32], [64, 64, 72, 96], [150, 140, 200, 64], [1, 33, 64, 32], [
    20,
    70,
    520,
    64,
  ]];
  return shapes.flatMap(([rows, columns, inner, groupSize], i) =>
    ([4, 8] as const).map((bits): Case => {
      const shape = { rows, columns, inner, bits, groupSize, scaleType: "float16" } as const;
      const spec = { ...shape, zeroPoint: i % 2 === 1, bias: i % 2 === 0, allowFloat16: true };
      return codebookCase(
        random,
        spec,
        Float32Array.from({ length: 1 << bits }, () => random.integer(17) / 4 - 2),
      );
    })
  );
}

/** Tables of evenly spaced levels, which backends may compute instead of looking up. */
function evenLevelCases(random: Random, allowFloat16: boolean): Case[] {
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
    [1, 4300, 192, 64],
    [2, 4300, 192, 64],
  ];
  return shapes.flatMap(([rows, columns, inner, groupSize], i) =>
    (i < 8 ? [4, 8] as const : [4] as const).map((bits): Case => {
      const scaleType = allowFloat16 ? "float16" : SCALE_TYPES[i % 4];
      const shape = { rows, columns, inner, bits, groupSize, scaleType } as const;
      const spec = { ...shape, zeroPoint: i % 2 === 1, bias: i === 0, evenLevels: true };
      const table = Float32Array.from({ length: 1 << bits }, (_, code) => code * 2 ** (2 - bits) - 2);
      return codebookCase(random, allowFloat16 ? { ...spec, allowFloat16 } : spec, table);
    })
  );
}

/** Tables of any levels for a few tokens: scales of whole units and of halves, rows of every count, long rows. */
function unevenLevelCases(random: Random): Case[] {
  const shapes = [
    [1, 33, 64, 16],
    [2, 70, 1280, 64],
    [16, 21, 1024, 128],
    [5, 40, 4096, 64],
    [1, 9, 13312, 128],
    [1, 4300, 192, 16],
    [3, 66, 100, 100],
  ];
  return shapes.flatMap(([rows, columns, inner, groupSize], i) =>
    ([4, 8] as const).map((bits, j): Case => {
      const scaleType = SCALE_TYPES[(i + j + 1) % 4];
      const spec = {
        rows,
        columns,
        inner,
        bits,
        groupSize,
        scaleType,
        zeroPoint: i % 3 === 1,
        bias: i % 2 === 1,
      };
      return codebookCase(random, spec, normals(random, 1 << bits));
    })
  );
}
