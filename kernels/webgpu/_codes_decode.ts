// The exact product of packed codes in a decode kernel, as `dot4I8Packed` takes them.
import { packedRowBytes } from "../specs.ts";
import type { DecodePhase } from "./_decode_loops.ts";
import type { IntegerShape } from "./_integer_phase.ts";
import { codesExpansion } from "./_operands.ts";
import { multiplyVectors } from "./_quik_decode.ts";
import { range } from "./_range.ts";

/** Vectors of sixteen int8 in a unit of the weight. */
export function codeVectors({ activationBits, weightBits }: IntegerShape): number {
  return codesExpansion(weightBits, activationBits).expand.length;
}

/** The product of bindings `left` and `right`, whose codes of activations are no narrower than those of the weight. */
export function codesPhase(spec: IntegerShape): DecodePhase {
  const { activationBits, weightBits, inner } = spec;
  const left = codesExpansion(activationBits, weightBits).expand;
  const right = codesExpansion(weightBits, activationBits).expand;
  const leftUnits = right.length / left.length;
  const stride = packedRowBytes(inner, activationBits) / 16;
  // A ragged last unit of the weight may have no second unit of activations beside it; its codes are zero.
  const leftUnit = (u: number, unit: string): string =>
    leftUnits === 1 ? unit : `min(${unit} * ${leftUnits}u + ${u}u, ${stride - 1}u)`;
  return {
    right: "right",
    units: packedRowBytes(inner, weightBits) / 16,
    sum: "acc",
    type: "i32",
    loadRow: (m, unit) =>
      range(leftUnits).map((u) => {
        const fetched = `let left_${u} = left[${m * stride}u + ${leftUnit(u, unit)}];`;
        const expanded = left.map((expand, e) => `let x_${u * left.length + e} = ${expand(`left_${u}`)};`);
        return [fetched, ...expanded].join(" ");
      }).join(" "),
    expand: (r, fetched) => right.map((expand, e) => `let w_${r}_${e} = ${expand(fetched)};`).join(" "),
    multiply: (r, _m, sum) => multiplyVectors(right.length, r, sum),
  };
}
