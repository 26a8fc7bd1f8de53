// QUIK's product for a few tokens: int4 or int8 codes by `dot4I8Packed`, then the float16 outliers, one dispatch.
import { float16RowBytes, type QuikLinearSpec } from "../specs.ts";
import { codesPhase } from "./_codes_decode.ts";
import {
  decodeEnables,
  decodeShader,
  decodeTakes,
  decodeWorkgroups,
  inTurns,
  type RowsInTurn,
} from "./_decode.ts";
import type { DecodeShape } from "./_decode_loops.ts";
import { exactSum } from "./_integer_phase.ts";
import { codesExpansion } from "./_operands.ts";
import { quikBindings } from "./_quik_bindings.ts";
import { outlierPhase, quikEpilogue, quikPhases } from "./_quik_decode.ts";
import { storesResult } from "./_result.ts";
import { type ComputePass, definePass, type KernelVariant } from "./program.ts";

/** The variant of one division of the columns. */
export function quikLinearDecode(name: string, shape: DecodeShape): KernelVariant<QuikLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) =>
      decodeTakes(shape, spec, capabilities) && storesResult(spec, capabilities) &&
      spec.activationBits >= spec.weightBits &&
      quikBindings(spec).length <= capabilities.limits.maxStorageBuffersPerShaderStage,
    generate: (spec, capabilities) => {
      const halfUnits = float16RowBytes(spec.outliers) / 16;
      const pass = (taken: RowsInTurn): ComputePass => {
        const turn = { ...spec, rows: taken.rows };
        return definePass({
          enables: decodeEnables(capabilities, spec),
          bindings: quikBindings(spec),
          workgroups: decodeWorkgroups(shape, spec.columns),
          body: decodeShader(
            shape,
            taken,
            spec,
            quikPhases(
              turn,
              codesPhase(spec),
              outlierPhase(halfUnits, (m, unit) => `outlier_left[${m * halfUnits}u + ${unit}]`),
            ),
            {
              declarations: codesExpansion(spec.weightBits, spec.activationBits).functions,
              ...quikEpilogue(turn, "qparams[row]", (sum) => exactSum(spec, sum)),
            },
          ),
        });
      };
      return { passes: inTurns(spec.rows).map(pass) };
    },
  };
}

/** Variants of `quik_linear` for a few tokens. */
export const quikLinearDecodeVariants: readonly KernelVariant<QuikLinearSpec>[] = [
  // Few columns leave processors idle unless each subgroup takes but one; long ones keep it busy.
  {
    ...quikLinearDecode("decode_1", { columns: 1, unroll: 2, subgroups: 8 }),
    suits: ({ rows, columns, inner }) => columns <= 6144 || inner > 4096 || rows > 8,
  },
  quikLinearDecode("decode_2", { columns: 2, unroll: 2, subgroups: 4 }),
  quikLinearDecode("decode_4", { columns: 4, unroll: 4, subgroups: 8 }),
];
