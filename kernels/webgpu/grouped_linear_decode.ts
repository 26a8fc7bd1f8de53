// Integer products with scales per group on both sides, for a few tokens: the exact sum of every unit of a group is scaled into
// a float sum.
import type { GroupedLinearSpec } from "../quantization_specs.ts";
import { codesPhase, codeVectors } from "./_codes_decode.ts";
import {
  decodeEnables,
  decodeShader,
  decodeTakes,
  decodeWorkgroups,
  inTurns,
  sumAndBias,
} from "./_decode.ts";
import type { DecodePhase, DecodeShape } from "./_decode_loops.ts";
import { exactSum } from "./_integer_phase.ts";
import { codesExpansion } from "./_operands.ts";
import { multiplyVectors } from "./_quik_decode.ts";
import { resultBinding, storesResult } from "./_result.ts";
import { groupOfUnit, unitScales } from "./_unit_scales.ts";
import { definePass, input, type KernelVariant } from "./program.ts";

/** Codes of a unit of 16 bytes of the weight. */
const unitCodes = ({ weightBits }: GroupedLinearSpec): number => 128 / weightBits;

function phaseOf(spec: GroupedLinearSpec): DecodePhase {
  const codes = codesPhase(spec);
  const groups = { ...spec, buffer: "weight_scales", scaleType: "float32" } as const;
  return {
    ...codes,
    type: "f32",
    loadRow: (m, unit) =>
      `${codes.loadRow(m, unit)} let x_scale = scales[${groupOfUnit(spec, unitCodes(spec), unit, `${m}u`)}];`,
    beside: unitScales(groups, unitCodes(spec)),
    expand: (r, fetched, unit, column, beside) =>
      `${codes.expand(r, fetched, unit, column, beside)} let scale_${r} = bitcast<f32>(${beside});`,
    multiply: (r, _m, sum) =>
      `{ var exact = 0; ${multiplyVectors(codeVectors(spec), r, "exact")} ${sum} += f32(${
        exactSum(spec, "exact")
      }) * (x_scale * scale_${r}); }`,
  };
}

/** The variant of one division of the columns. */
export function groupedLinearDecode(name: string, shape: DecodeShape): KernelVariant<GroupedLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) =>
      decodeTakes(shape, spec, capabilities) && storesResult(spec, capabilities) &&
      (spec.groupSize % unitCodes(spec) === 0 || spec.groupSize >= spec.inner) &&
      spec.activationBits >= spec.weightBits,
    generate: (spec, capabilities) => ({
      passes: inTurns(spec.rows).map((taken) =>
        definePass({
          enables: decodeEnables(capabilities, spec),
          bindings: [
            input(0, "left", "array<vec4<u32>>"),
            input(1, "scales", "array<f32>"),
            input(2, "right", "array<vec4<u32>>"),
            input(3, "weight_scales", "array<f32>"),
            ...(spec.bias ? [input(4, "bias", "array<f32>")] : []),
            resultBinding(spec),
          ],
          workgroups: decodeWorkgroups(shape, spec.columns),
          body: decodeShader(shape, taken, spec, [phaseOf(spec)], {
            declarations: codesExpansion(spec.weightBits, spec.activationBits).functions,
            ...sumAndBias(spec.bias),
          }),
        })
      ),
    }),
  };
}

/** Variants of `grouped_linear` for a few tokens. */
export const groupedLinearDecodeVariants: readonly KernelVariant<GroupedLinearSpec>[] = [
  {
    ...groupedLinearDecode("decode_1", { columns: 1, unroll: 2, subgroups: 8 }),
    suits: ({ rows, columns, inner }) => rows === 1 && (inner <= 4096 || columns > 16384),
  },
  groupedLinearDecode("decode_2", { columns: 2, unroll: 2, subgroups: 4 }),
];
