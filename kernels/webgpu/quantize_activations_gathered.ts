// QUIK's activation quantization with the row in registers: hardly any workgroup memory, so that many rows are on their way
// at once. A word of codes is put together by shuffles and written once.
import { float16RowBytes, packedRowBytes, type QuantizeActivationsSpec } from "../specs.ts";
import { decodeEnables, decodeFits } from "./_decode.ts";
import {
  codeInside,
  gatherWord,
  heldCodes,
  readRow,
  type RowCodes,
  rowCodes,
  rowCodesMemory,
} from "./_row_codes.ts";
import { quantizeBindings } from "./_quik_bindings.ts";
import { definePass, type KernelVariant, LINEAR_WORKGROUP, linearMain, linearWorkgroups } from "./program.ts";
import { range } from "./_range.ts";

/** Most values that an invocation holds. */
const MOST_HELD = 32;

const subgroupsFor = ({ columns }: QuantizeActivationsSpec): number => columns > 4096 ? 16 : 8;

const codeWords = ({ columns, outliers, bits }: QuantizeActivationsSpec): number =>
  packedRowBytes(columns - outliers, bits) / 4;

const paddedCodes = (spec: QuantizeActivationsSpec): number => codeWords(spec) * 32 / spec.bits;

/**
 * Statements that write the codes: after the shuffles every lane that contributed to a word has it, so each writes
 * another of their words.
 */
function storeWords(spec: QuantizeActivationsSpec, count: number, k: (h: number) => string): string {
  const perWord = 32 / spec.bits;
  const row = { inner: spec.columns - spec.outliers, subgroups: subgroupsFor(spec) };
  const sign = 2 ** (spec.bits - 1);
  const partners = range(Math.log2(perWord)).map((i) => 2 ** i);
  const batches = range(Math.ceil(count / perWord)).map((b) =>
    range(Math.min(perWord, count - b * perWord)).map((i) => b * perWord + i)
  );
  return batches.map((batch) =>
    `{
      ${
      batch.map((h) => `let code_${h} = ${codeInside(row, h, `(level_${h} ^ ${sign}u) & ${2 * sign - 1}u`)};`)
        .join(" ")
    }
      ${
      batch.map((h) => gatherWord(h, `${spec.bits}u * (lane & ${perWord - 1}u)`, partners)).join("\n      ")
    }
      var word = word_${batch[0]};
      var at = ${k(batch[0])};
      ${
      batch.slice(1).map((h, i) => {
        const mine = `(lane & ${perWord - 1}u) == ${i + 1}u`;
        return `word = select(word, word_${h}, ${mine}); at = select(at, ${k(h)}, ${mine});`;
      }).join("\n      ")
    }
      if ((lane & ${perWord - 1}u) < ${batch.length}u && at < ${paddedCodes(spec)}u) {
        codes[row * ${codeWords(spec)}u + at / ${perWord}u] = word;
      }
    }`
  ).join("\n    ");
}

function outlierValues({ columns, outliers }: QuantizeActivationsSpec, threads: number): string {
  const words = float16RowBytes(outliers) / 4;
  const value = (k: string): string =>
    `select(0.0, clamp(x[row * ${columns}u + outlier_columns[min(${k}, ${
      outliers - 1
    }u)]], -65504.0, 65504.0), ${k} < ${outliers}u)`;
  return `for (var w = local; w < ${words}u; w += ${threads}u) {
      outlier_values[row * ${words}u + w] = pack2x16float(vec2<f32>(${value("(2u * w)")}, ${
    value("(2u * w + 1u)")
  }));
    }`;
}

function body(spec: QuantizeActivationsSpec): string {
  const { columns, outliers, bits } = spec;
  const subgroups = subgroupsFor(spec);
  const row: RowCodes = {
    name: "row",
    inner: columns - outliers,
    bits,
    padded: paddedCodes(spec),
    subgroups,
    start: `row * ${columns}u`,
    keep: "qparams[row] = vec2<f32>(scale, zero);",
    store: (count, k) => storeWords(spec, count, k),
  };
  return `
${rowCodesMemory(subgroups)}

${linearMain(32 * subgroups)}
  let row = ${LINEAR_WORKGROUP};
  if (row >= uniforms.rows) { return; }
  let lane = local % 32u;
  ${readRow(row)}
  ${outliers > 0 ? outlierValues(spec, 32 * subgroups) : ""}
  ${rowCodes(row)}
}`;
}

/** Variants of `quantize_activations` for rows that fit the registers of a workgroup. */
export const quantizeActivationsGatheredVariants: readonly KernelVariant<QuantizeActivationsSpec>[] = [{
  name: "gathered_row",
  supports: (spec, capabilities) =>
    spec.columns > spec.outliers && decodeFits(capabilities) &&
    heldCodes({ padded: paddedCodes(spec), subgroups: subgroupsFor(spec) }) <= MOST_HELD &&
    32 * subgroupsFor(spec) <= capabilities.limits.maxComputeInvocationsPerWorkgroup,
  generate: (spec, capabilities) => ({
    passes: [definePass({
      enables: decodeEnables(capabilities),
      bindings: quantizeBindings(spec, 1),
      uniforms: { rows: spec.rows },
      workgroups: linearWorkgroups(spec.rows),
      body: body(spec),
    })],
  }),
}];
