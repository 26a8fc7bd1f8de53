// Dense products for a few tokens with float16 or float32 weights: as fast as the weight can be read.
import { type DenseLinearSpec, float16RowBytes } from "../specs.ts";
import { decodeEnables, decodeShader, decodeTakes, decodeWorkgroups, inTurns } from "./_decode.ts";
import type { DecodePhase, DecodeShape } from "./_decode_loops.ts";
import { resultBinding, storesResult } from "./_result.ts";
import { definePass, input, type KernelVariant } from "./program.ts";

const perUnit = ({ weightType }: DenseLinearSpec): number => weightType === "float16" ? 8 : 4;

function phaseOf(spec: DenseLinearSpec): DecodePhase {
  const units = spec.inner / perUnit(spec);
  const vectors = perUnit(spec) / 4;
  const leftStride = spec.inputType === "float16" ? float16RowBytes(spec.inner) / 8 : spec.inner / 4;
  const halves = (fetched: string, from: string): string =>
    `vec4<f32>(unpack2x16float(${fetched}.${from[0]}), unpack2x16float(${fetched}.${from[1]}))`;
  const floats = (r: number, fetched: string): string =>
    spec.weightType === "float16"
      ? `let w_${r}_0 = ${halves(fetched, "xy")}; let w_${r}_1 = ${halves(fetched, "zw")};`
      : `let w_${r}_0 = bitcast<vec4<f32>>(${fetched});`;
  const each = (f: (v: number) => string): string =>
    Array.from({ length: vectors }, (_, v) => f(v)).join(" ");
  return {
    right: "right",
    units,
    sum: "acc",
    type: "f32",
    loadRow: (m, unit) =>
      each((v) => {
        const left = `left[${m * leftStride}u + ${unit} * ${vectors}u + ${v}u]`;
        return spec.inputType === "float16"
          ? `let half_${v} = ${left}; let x_${v} = ${halves(`half_${v}`, "xy")};`
          : `let x_${v} = ${left};`;
      }),
    expand: (r, fetched) => floats(r, fetched),
    multiply: (r, _m, sum) =>
      each((v) =>
        `${sum} = fma(w_${r}_${v}.x, x_${v}.x, fma(w_${r}_${v}.y, x_${v}.y, fma(w_${r}_${v}.z, x_${v}.z, fma(w_${r}_${v}.w, x_${v}.w, ${sum}))));`
      ),
  };
}

/** The variant of one division of the columns. */
export function denseLinearDecode(name: string, shape: DecodeShape): KernelVariant<DenseLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) =>
      decodeTakes(shape, spec, capabilities) && storesResult(spec, capabilities) &&
      spec.weightType !== "bfloat16" && spec.inner % perUnit(spec) === 0,
    generate: (spec, capabilities) => ({
      passes: inTurns(spec.rows).map((taken) =>
        definePass({
          enables: decodeEnables(capabilities, spec),
          bindings: [
            input(0, "left", spec.inputType === "float16" ? "array<vec2<u32>>" : "array<vec4<f32>>"),
            input(1, "right", "array<vec4<u32>>"),
            ...(spec.bias ? [input(2, "bias", "array<f32>")] : []),
            resultBinding(spec),
          ],
          workgroups: decodeWorkgroups(shape, spec.columns),
          body: decodeShader(shape, taken, spec, [phaseOf(spec)], {
            result: (sum) => `${sum(0)}${spec.bias ? " + bias[column]" : ""}`,
          }),
        })
      ),
    }),
  };
}

/** Variants of `dense_linear` for a few tokens. */
export const denseLinearDecodeVariants: readonly KernelVariant<DenseLinearSpec>[] = [
  // Few columns leave processors idle unless each subgroup takes but one; more tokens are worth reading x for two at once.
  {
    ...denseLinearDecode("decode_1", { columns: 1, unroll: 2, subgroups: 4 }),
    suits: ({ rows, columns }) => columns <= 16384 && rows <= 2,
  },
  denseLinearDecode("decode_2", { columns: 2, unroll: 1, subgroups: 4 }),
];
