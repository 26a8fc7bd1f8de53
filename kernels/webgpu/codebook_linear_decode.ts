// Weight-only products with evenly spaced 4-bit levels for a few tokens, exact to float32 without converting a code: a
// workgroup turns x into three int8 digits per value (24 bits, one scale per 32 values), `dot4I8Packed` multiplies the
// digits with the codes as they lie in memory, and a 16-byte load of codes costs some thirty instructions.
import { type CodebookLinearSpec, packedRowBytes } from "../specs.ts";
import {
  decodeEnables,
  decodeFits,
  type DecodePhase,
  decodeShader,
  type DecodeShape,
  decodeWorkgroups,
  range,
} from "./_decode.ts";
import { FLOAT8_FUNCTIONS, floatStorage } from "./_operands.ts";
import { type Binding, definePass, input, type KernelVariant, output } from "./program.ts";

/** Values that one unit of 16 bytes of codes multiplies. */
const UNIT = 32;
const PLANES = 3;
/** Even and odd values of a unit, per digit: a vector of sixteen int8 each. */
const VECTORS = 2 * PLANES;
const UNIT_BYTES = VECTORS * 16 + 8;

const memoryBytes = ({ rows, inner }: CodebookLinearSpec): number =>
  rows * Math.ceil(inner / UNIT) * UNIT_BYTES;

/** Splits the values at positions 2 i + odd of each eight into their three digits. */
function split(i: number, odd: number): string {
  const k = 2 * i + odd;
  const lane = "xyzw"[k % 4];
  const values = [0, 1, 2, 3].map((word) => `values[${2 * word + (k >> 2)}].${lane}`).join(", ");
  return `let whole_${i} = vec4<i32>(round(vec4<f32>(${values}) * inverse));
    let low_${i} = digit(whole_${i});
    let rest_${i} = (whole_${i} - low_${i}) >> vec4<u32>(8u);
    let middle_${i} = digit(rest_${i});
    let high_${i} = (rest_${i} - middle_${i}) >> vec4<u32>(8u);`;
}

/** Reads four values of x, zeros beyond the row. */
function loadX(inner: number): string {
  if (inner % 4 === 0) {
    return `
fn x_at(row: u32, k: u32) -> vec4<f32> {
  return select(vec4<f32>(0.0), x[(row * ${inner}u + min(k, ${inner - 4}u)) / 4u], k < ${inner}u);
}`;
  }
  const value = (i: number): string =>
    `select(0.0, x[row * ${inner}u + min(k + ${i}u, ${inner - 1}u)], k + ${i}u < ${inner}u)`;
  return `
fn x_at(row: u32, k: u32) -> vec4<f32> {
  return vec4<f32>(${[0, 1, 2, 3].map(value).join(", ")});
}`;
}

/** Turns one unit of x into digits. Value = scale * (65536 * digit 2 + 256 * digit 1 + digit 0). */
function stageFunction({ inner }: CodebookLinearSpec): string {
  return `${loadX(inner)}
fn digit(value: vec4<i32>) -> vec4<i32> {
  return ((value + vec4<i32>(128)) & vec4<i32>(255)) - vec4<i32>(128);
}
fn stage(row: u32, unit: u32, place: u32) {
  var values: array<vec4<f32>, 8>;
  var largest = vec4<f32>(0.0);
  var totals = vec4<f32>(0.0);
  for (var q = 0u; q < 8u; q++) {
    let value = x_at(row, unit * ${UNIT}u + 4u * q);
    values[q] = value;
    largest = max(largest, abs(value));
    totals += value;
  }
  let most = max(max(largest.x, largest.y), max(largest.z, largest.w));
  let inverse = select(0.0, 8323072.0 / most, most > 0.0);
  // First the even values of each eight, then the odd ones, as the nibbles of a word of codes lie.
  ${
    [0, 1].map((odd) =>
      `{
    ${[0, 1, 2, 3].map((i) => split(i, odd)).join("\n    ")}
    ${
        ["low", "middle", "high"].map((name, plane) =>
          `digits[${odd + 2 * plane}u * PLACES + place] = ${
            [0, 1, 2, 3].map((i) =>
              `((bitcast<vec4<u32>>(${name}_${i}) & vec4<u32>(255u)) << vec4<u32>(${8 * i}u))`
            ).join(" | ")
          };`
        ).join("\n    ")
      }
  }`
    ).join("\n  ")
  }
  unit_scale[place] = vec2<f32>(most / 8323072.0, totals.x + totals.y + totals.z + totals.w);
}`;
}

function phaseOf(spec: CodebookLinearSpec): DecodePhase {
  const units = packedRowBytes(spec.inner, 4) / 16;
  const lanes = ["x", "y", "z", "w"];
  const dot = (plane: number, r: number): string =>
    [0, 1].flatMap((odd) =>
      lanes.map((lane) => `dot4I8Packed(d_${2 * plane + odd}.${lane}, w_${r}_${odd}.${lane})`)
    )
      .join(" + ");
  const group = `unit * ${UNIT}u / ${spec.groupSize}u`;
  return {
    right: "right",
    stride: "uniforms.right_stride",
    units,
    sum: "acc",
    type: "f32",
    loadRow: (m, unit) =>
      range(VECTORS).map((v) => `let d_${v} = digits[${v}u * PLACES + ${m * units}u + ${unit}];`).join(" ") +
      ` let x_here = unit_scale[${m * units}u + ${unit}];`,
    expand: (r, fetched, _unit, column) =>
      `let w_${r}_0 = ${fetched} & vec4<u32>(0x0f0f0f0fu); let w_${r}_1 = (${fetched} >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
        let group_${r} = ${column} * uniforms.groups + min(${group}, uniforms.groups - 1u);
        let scale_${r} = ${floatStorage(spec.scaleType).load("scales", `group_${r}`)};
        let from_${r} = table[0]${spec.zeroPoint ? ` - zeros[group_${r}]` : ""};`,
    multiply: (r, _m, sum) =>
      `${sum} += scale_${r} * (from_${r} * x_here.y + spacing * x_here.x * fma(f32(${
        dot(2, r)
      }), 65536.0, f32((${dot(1, r)}) * 256 + ${dot(0, r)})));`,
  };
}

function bindingsOf(spec: CodebookLinearSpec): Binding[] {
  return [
    input(0, "x", spec.inner % 4 === 0 ? "array<vec4<f32>>" : "array<f32>"),
    input(1, "right", "array<vec4<u32>>"),
    input(2, "table", "array<f32>"),
    input(3, "scales", floatStorage(spec.scaleType).binding),
    ...(spec.zeroPoint ? [input(4, "zeros", "array<f32>")] : []),
    ...(spec.bias ? [input(spec.zeroPoint ? 5 : 4, "bias", "array<f32>")] : []),
    output(0, "y", "array<f32>"),
  ];
}

function bodyOf(spec: CodebookLinearSpec, shape: DecodeShape): string {
  const units = packedRowBytes(spec.inner, 4) / 16;
  const places = spec.rows * units;
  return decodeShader(shape, spec.rows, [phaseOf(spec)], {
    declarations: `
const PLACES = ${places}u;
var<workgroup> digits: array<vec4<u32>, ${places * VECTORS}>;
var<workgroup> unit_scale: array<vec2<f32>, ${places}>;
${spec.scaleType.startsWith("float8") ? FLOAT8_FUNCTIONS : ""}
${stageFunction(spec)}`,
    prologue: `
  for (var place = local; place < ${places}u; place += ${32 * shape.subgroups}u) {
    stage(place / ${units}u, place % ${units}u, place);
  }
  workgroupBarrier();
  let spacing = table[1] - table[0];`,
    result: (sum) => `y[row * uniforms.columns + column] = ${sum(0)}${spec.bias ? " + bias[column]" : ""};`,
  });
}

/** The variant of one division of the columns. */
export function codebookLinearDecode(name: string, shape: DecodeShape): KernelVariant<CodebookLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) =>
      spec.bits === 4 && spec.evenLevels === true && spec.rows * shape.columns <= 32 && spec.inner > 0 &&
      (spec.groupSize % UNIT === 0 || spec.groupSize >= spec.inner) &&
      memoryBytes(spec) <= capabilities.limits.maxComputeWorkgroupStorageSize && decodeFits(capabilities),
    generate: (spec, capabilities) => ({
      passes: [definePass({
        enables: decodeEnables(capabilities),
        bindings: bindingsOf(spec),
        uniforms: {
          columns: spec.columns,
          right_stride: packedRowBytes(spec.inner, 4) / 16,
          groups: Math.ceil(spec.inner / spec.groupSize),
        },
        workgroups: decodeWorkgroups(shape, spec.columns),
        body: bodyOf(spec, shape),
      })],
    }),
  };
}

/** Variants of `codebook_linear` for a few tokens. */
export const codebookLinearDecodeVariants: readonly KernelVariant<CodebookLinearSpec>[] = [
  codebookLinearDecode("decode_2", { columns: 2, unroll: 4, subgroups: 16, workgroups: 132 }),
];
