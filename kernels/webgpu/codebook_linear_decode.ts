// Weight-only products with evenly spaced 4-bit levels for a few tokens, without converting a code: a workgroup turns x into
// int8 digits, `dot4I8Packed` multiplies the digits with the codes as they lie in memory, and a 16-byte load of codes
// costs some thirty instructions.
import { type CodebookLinearSpec, packedRowBytes } from "../specs.ts";
import { DECODE_ROWS, decodeTakes, inTurns } from "./_decode.ts";
import { codebookDecodePass, type PreparedX } from "./_codebook_decode.ts";
import type { DecodePhase, DecodeShape } from "./_decode_loops.ts";
import type { WebGpuCapabilities } from "./capabilities.ts";
import {
  digitBytes,
  digitsOf,
  digitsPass,
  placesOf,
  READ_LEVELS,
  spacedPlaces,
  stageFunction,
  staging,
  UNIT,
  vectorsOf,
  xBinding,
} from "./_digits.ts";
import { unpackEights } from "./_eights.ts";
import { floatStorage } from "./_operands.ts";
import { type KernelVariant, scratch } from "./program.ts";
import { range } from "./_range.ts";
import { groupOfUnit, unitScales } from "./_unit_scales.ts";

/** Most rows that are taken in turns: between 64, where it took half of what tiles do, and 128, where it took more. */
const MOST_ROWS = 96;

function phaseOf(spec: CodebookLinearSpec): DecodePhase {
  const units = packedRowBytes(spec.inner, 4) / 16;
  const lanes = ["x", "y", "z", "w"];
  const dot = (plane: number, r: number): string =>
    [0, 1].flatMap((half) =>
      lanes.map((lane) => `dot4I8Packed(d_${2 * plane + half}.${lane}, w_${r}_${half}.${lane})`)
    )
      .join(" + ");
  const lowDigits = (r: number): string => `f32((${dot(1, r)}) * 256 + ${dot(0, r)})`;
  const product = (r: number): string =>
    digitsOf(spec) === 3 ? `fma(f32(${dot(2, r)}), 65536.0, ${lowDigits(r)})` : lowDigits(r);
  const scales = floatStorage(spec.scaleType);
  return {
    right: "right",
    units,
    sum: "acc",
    type: "f32",
    loadRow: (m, unit) =>
      range(vectorsOf(spec)).map((v) => `let d_${v} = digits[${v}u * PLACES + ${m * units}u + ${unit}];`)
        .join(" ") + ` let x_here = unit_scale[${m * units}u + ${unit}];`,
    beside: unitScales(spec, UNIT),
    expand: (r, fetched, unit, column, beside) =>
      `${
        unpackEights(
          r,
          `${fetched} & vec4<u32>(0x0f0f0f0fu)`,
          `(${fetched} >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu)`,
        )
      }
        let group_${r} = ${groupOfUnit(spec, UNIT, unit, column)};
        let scale_${r} = ${scales.value(beside, `group_${r}`)};
        ${spec.zeroPoint ? `let from_${r} = lowest - zeros[group_${r}];` : ""}`,
    multiply: (r, _m, sum) =>
      `${sum} += scale_${r} * (${spec.zeroPoint ? `from_${r} * x_here.y` : "x_here.y"} + x_here.x * ${
        product(r)
      });`,
  };
}

function supported(
  spec: CodebookLinearSpec,
  shape: DecodeShape,
  capabilities: WebGpuCapabilities,
  mostRows: number,
): boolean {
  return decodeTakes(shape, spec, capabilities, mostRows) && spec.bits === 4 && spec.evenLevels === true &&
    (spec.groupSize % UNIT === 0 || spec.groupSize >= spec.inner);
}

const placesConstant = (spec: CodebookLinearSpec): string => `const PLACES = ${spacedPlaces(spec)}u;`;

/** The variant of one division of the columns, for a token or two: every workgroup turns x into digits for itself. */
export function codebookLinearDecode(name: string, shape: DecodeShape): KernelVariant<CodebookLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) =>
      supported(spec, shape, capabilities, DECODE_ROWS) &&
      digitBytes(spec) <= capabilities.limits.maxComputeWorkgroupStorageSize,
    generate: (spec, capabilities) => {
      const x: PreparedX = {
        bindings: [xBinding(spec)],
        declarations: `${placesConstant(spec)}
var<workgroup> digits: array<vec4<u32>, ${spacedPlaces(spec) * vectorsOf(spec)}>;
var<workgroup> unit_scale: array<vec2<f32>, ${placesOf(spec)}>;
${stageFunction(spec)}`,
        ...staging(spec, 32 * shape.subgroups),
      };
      const rows = { first: 0, rows: spec.rows };
      return { passes: [codebookDecodePass(spec, rows, shape, capabilities, phaseOf(spec), x)] };
    },
  };
}

/** The variant for more tokens: x becomes digits once, and workgroups read them from there. */
export function codebookLinearFewRows(name: string, shape: DecodeShape): KernelVariant<CodebookLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) => supported(spec, shape, capabilities, MOST_ROWS),
    generate: (spec, capabilities) => {
      const x: PreparedX = {
        bindings: [
          scratch(0, "digits", "array<vec4<u32>>", "read"),
          scratch(1, "unit_scale", "array<vec2<f32>>", "read"),
        ],
        declarations: placesConstant(spec),
        reads: spec.zeroPoint ? READ_LEVELS : "",
        // None; the loop stays, as it was measured.
        prologue: "",
      };
      return {
        scratch: [spacedPlaces(spec) * vectorsOf(spec) * 16, placesOf(spec) * 8],
        passes: [
          digitsPass(spec, capabilities),
          ...inTurns(spec.rows).map((taken) =>
            codebookDecodePass(spec, taken, shape, capabilities, phaseOf(spec), x)
          ),
        ],
      };
    },
  };
}

/** Variants of `codebook_linear` for a few tokens; the counts of workgroups fill a device of 132 processors. */
export const codebookLinearDecodeVariants: readonly KernelVariant<CodebookLinearSpec>[] = [
  {
    ...codebookLinearDecode("decode_32", { columns: 1, unroll: 4, subgroups: 32, workgroups: 132 }),
    suits: ({ rows, columns, inner, allowFloat16 }) =>
      rows === 1 && inner > 4096 && columns > 16384 && allowFloat16 === true,
  },
  {
    ...codebookLinearDecode("decode_16_narrow", { columns: 1, unroll: 4, subgroups: 16, workgroups: 264 }),
    suits: ({ rows, inner, allowFloat16 }) => rows === 1 && inner <= 4096 && !allowFloat16,
  },
  {
    ...codebookLinearDecode("decode_8", { columns: 2, unroll: 4, subgroups: 8, workgroups: 264 }),
    suits: ({ rows, inner }) => rows === 1 && inner <= 4096,
  },
  {
    ...codebookLinearDecode("decode_16", { columns: 2, unroll: 4, subgroups: 16, workgroups: 132 }),
    suits: ({ rows }) => rows <= 4,
  },
  codebookLinearFewRows("digits_2", { columns: 2, unroll: 2, subgroups: 4 }),
  codebookLinearFewRows("digits_4", { columns: 4, unroll: 1, subgroups: 4 }),
];
