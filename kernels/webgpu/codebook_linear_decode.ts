// Weight-only products with evenly spaced 4-bit levels for a few tokens, to the precision of float32 without converting a code: a
// workgroup turns x into three int8 digits per value (22 bits, one scale per 32 values), `dot4I8Packed` multiplies the
// digits with the codes as they lie in memory, and a 16-byte load of codes costs some thirty instructions.
import { type CodebookLinearSpec, packedRowBytes } from "../specs.ts";
import { DECODE_ROWS, decodeEnables, decodeFits, decodeShader, decodeWorkgroups } from "./_decode.ts";
import type { DecodePhase, DecodeShape } from "./_decode_loops.ts";
import type { WebGpuCapabilities } from "./capabilities.ts";
import {
  digitBytes,
  digitsPass,
  placesOf,
  stageFunction,
  staging,
  UNIT,
  VECTORS,
  xBinding,
} from "./_digits.ts";
import { FLOAT8_FUNCTIONS, floatStorage } from "./_operands.ts";
import {
  type Binding,
  type ComputePass,
  definePass,
  input,
  type KernelVariant,
  output,
  scratch,
} from "./program.ts";
import { range } from "./_range.ts";

function phaseOf(spec: CodebookLinearSpec): DecodePhase {
  const units = packedRowBytes(spec.inner, 4) / 16;
  const lanes = ["x", "y", "z", "w"];
  const dot = (plane: number, r: number): string =>
    [0, 1].flatMap((odd) =>
      lanes.map((lane) => `dot4I8Packed(d_${2 * plane + odd}.${lane}, w_${r}_${odd}.${lane})`)
    )
      .join(" + ");
  const scales = floatStorage(spec.scaleType);
  const group = (unit: string, column: string): string =>
    `${column} * uniforms.groups + min(${unit} * ${UNIT}u / ${spec.groupSize}u, uniforms.groups - 1u)`;
  return {
    right: "right",
    units,
    sum: "acc",
    type: "f32",
    loadRow: (m, unit) =>
      range(VECTORS).map((v) => `let d_${v} = digits[${v}u * PLACES + ${m * units}u + ${unit}];`).join(" ") +
      ` let x_here = unit_scale[${m * units}u + ${unit}];`,
    beside: (unit, column) => scales.word("scales", group(unit, column)),
    expand: (r, fetched, unit, column, beside) =>
      `let w_${r}_0 = ${fetched} & vec4<u32>(0x0f0f0f0fu); let w_${r}_1 = (${fetched} >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
        let group_${r} = ${group(unit, column)};
        let scale_${r} = ${scales.value(beside, `group_${r}`)};
        let from_${r} = lowest${spec.zeroPoint ? ` - zeros[group_${r}]` : ""};`,
    multiply: (r, _m, sum) =>
      `${sum} += scale_${r} * (from_${r} * x_here.y + spacing * x_here.x * fma(f32(${
        dot(2, r)
      }), 65536.0, f32((${dot(1, r)}) * 256 + ${dot(0, r)})));`,
  };
}

function bindingsOf(spec: CodebookLinearSpec, x: readonly Binding[]): Binding[] {
  return [
    ...x,
    input(1, "right", "array<vec4<u32>>"),
    input(2, "table", "array<f32>"),
    input(3, "scales", floatStorage(spec.scaleType).binding),
    ...(spec.zeroPoint ? [input(4, "zeros", "array<f32>")] : []),
    ...(spec.bias ? [input(spec.zeroPoint ? 5 : 4, "bias", "array<f32>")] : []),
    output(0, "y", "array<f32>"),
  ];
}

/** The product, given where the digits are and how they come there. */
function productPass(
  spec: CodebookLinearSpec,
  shape: DecodeShape,
  capabilities: WebGpuCapabilities,
  digits: {
    readonly bindings: readonly Binding[];
    readonly declarations: string;
    readonly reads: string;
    readonly prologue: string;
  },
): ComputePass {
  return definePass({
    enables: decodeEnables(capabilities),
    bindings: bindingsOf(spec, digits.bindings),
    uniforms: { columns: spec.columns, groups: Math.ceil(spec.inner / spec.groupSize) },
    workgroups: decodeWorkgroups(shape, spec.columns),
    body: decodeShader(shape, spec.rows, [phaseOf(spec)], {
      declarations: `
const PLACES = ${placesOf(spec)}u;
${spec.scaleType.startsWith("float8") ? FLOAT8_FUNCTIONS : ""}
${digits.declarations}`,
      reads: `let lowest = table[0]; let spacing = table[1] - lowest;
  ${digits.reads}`,
      prologue: digits.prologue,
      result: (sum) => `y[row * uniforms.columns + column] = ${sum(0)}${spec.bias ? " + bias[column]" : ""};`,
    }),
  });
}

function supported(spec: CodebookLinearSpec, shape: DecodeShape, capabilities: WebGpuCapabilities): boolean {
  return spec.bits === 4 && spec.evenLevels === true && spec.rows * shape.columns <= 32 && spec.inner > 0 &&
    (spec.groupSize % UNIT === 0 || spec.groupSize >= spec.inner) && decodeFits(capabilities);
}

/** The variant of one division of the columns, for a token or two: every workgroup turns x into digits for itself. */
export function codebookLinearDecode(name: string, shape: DecodeShape): KernelVariant<CodebookLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) =>
      supported(spec, shape, capabilities) &&
      digitBytes(spec) <= capabilities.limits.maxComputeWorkgroupStorageSize,
    generate: (spec, capabilities) => ({
      passes: [productPass(spec, shape, capabilities, {
        bindings: [xBinding(spec)],
        declarations: `
var<workgroup> digits: array<vec4<u32>, ${placesOf(spec) * VECTORS}>;
var<workgroup> unit_scale: array<vec2<f32>, ${placesOf(spec)}>;
${stageFunction(spec)}`,
        ...staging(spec, 32 * shape.subgroups),
      })],
    }),
  };
}

/** The variant for more tokens: x becomes digits once, and workgroups read them from there. */
export function codebookLinearFewRows(name: string, shape: DecodeShape): KernelVariant<CodebookLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) => supported(spec, shape, capabilities) && spec.rows <= DECODE_ROWS,
    generate: (spec, capabilities) => ({
      scratch: [placesOf(spec) * VECTORS * 16, placesOf(spec) * 8],
      passes: [
        digitsPass(spec, capabilities),
        productPass(spec, shape, capabilities, {
          bindings: [
            scratch(0, "digits", "array<vec4<u32>>", "read"),
            scratch(1, "unit_scale", "array<vec2<f32>>", "read"),
          ],
          declarations: "",
          reads: "",
          prologue: "",
        }),
      ],
    }),
  };
}

/** Variants of `codebook_linear` for a few tokens. */
export const codebookLinearDecodeVariants: readonly KernelVariant<CodebookLinearSpec>[] = [
  // Where the digits of x leave room for one workgroup on a processor only, it had better be a large one.
  {
    ...codebookLinearDecode("decode_32", { columns: 1, unroll: 4, subgroups: 32, workgroups: 128 }),
    suits: (spec) => digitBytes(spec) > 24000,
  },
  {
    ...codebookLinearDecode("decode_16", { columns: 1, unroll: 4, subgroups: 16, workgroups: 264 }),
    suits: ({ rows }) => rows <= 2,
  },
  codebookLinearFewRows("digits_4", { columns: 4, unroll: 1, subgroups: 4 }),
  codebookLinearFewRows("digits_2", { columns: 2, unroll: 2, subgroups: 4 }),
];
