// Cases of GPTQ's two ops.
import { codeThresholds, int3, int4, nf4, type NumberFormat, uint4 } from "../../formats/mod.ts";
import type { Random } from "../../quant/mod.ts";
import type { Case } from "./_cases.ts";
import { integers, normals } from "./_inputs.ts";

/** Cases of `inverse_factor` and `gptq_sweep`. */
export function gptqCases(random: Random): Case[] {
  return [
    ...[1, 5, 64, 70, 200].map((size) => inverseFactorCase(random, size)),
    ...[[1, 3, 3, 1, int4], [33, 70, 64, 1, nf4], [40, 130, 130, 3, uint4], [5, 150, 129, 2, int3], [
      3,
      9,
      0,
      1,
      int4,
    ]]
      .map(([rows, columns, base, groups, format]) =>
        sweepCase(random, format as NumberFormat, {
          rows: rows as number,
          columns: columns as number,
          base: base as number,
          groups: groups as number,
        })
      ),
  ];
}

/** A Hessian of correlated inputs, one of them never active, in a random order. */
function inverseFactorCase(random: Random, size: number): Case {
  const tokens = 2 * size;
  const x = normals(random, tokens * size);
  for (let t = 0; t < tokens; t++) {
    for (let j = 1; j < size; j++) x[t * size + j] += 0.5 * x[t * size + j - 1];
    if (size > 4) x[t * size + 2] = 0;
  }
  const hessian = new Float32Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let t = 0; t < tokens; t++) sum += x[t * size + i] * x[t * size + j];
      hessian[i * size + j] = hessian[j * size + i] = sum / tokens;
    }
  }
  const order = Uint32Array.from({ length: size }, (_, i) => i);
  for (let i = size - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return {
    spec: { op: "inverse_factor", size },
    inputs: [hessian, order, Float32Array.of(0.1)],
    comparisons: ["float", "float"],
    magnitude: 1,
  };
}

function sweepCase(
  random: Random,
  format: NumberFormat,
  shape: { rows: number; columns: number; base: number; groups: number },
): Case {
  const { rows, columns, base, groups } = shape;
  const factor = new Float32Array(columns * columns);
  for (let i = 0; i < columns; i++) {
    for (let j = i + 1; j < columns; j++) factor[i * columns + j] = random.normal() * 0.05;
    factor[i * columns + i] = 0.5 + random.uniform();
  }
  const { thresholds, codes } = codeThresholds(format);
  const signed = format.min < 0;
  return {
    spec: { op: "gptq_sweep", rows, columns, base, groups, bits: format.bits as 3 | 4 },
    inputs: [
      factor,
      integers(random, base, groups),
      Float32Array.from({ length: rows * groups }, () => (0.5 + random.uniform()) * 3 / format.max),
      Float32Array.from({ length: rows * groups }, () => signed ? 0 : 6 + random.integer(4)),
      thresholds,
      codes,
      Float32Array.from({ length: 2 ** format.bits }, (_, code) => format.decode(code)),
    ],
    initial: [
      normals(random, rows * columns),
      new Uint8Array(rows * Math.ceil(base / 16) * 16),
      new Float32Array(rows),
    ],
    comparisons: ["float", "exact", "float"],
  };
}
