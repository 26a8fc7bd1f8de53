// Weight-only products with evenly spaced 4-bit levels for a few tokens, to the precision of float32 without converting a code: a
// workgroup turns x into three int8 digits per value (22 bits, one scale per 32 values), `dot4I8Packed` multiplies the
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
import { ROUND } from "./_row_codes.ts";
import { type Binding, definePass, input, type KernelVariant, output } from "./program.ts";

/** Values that one unit of 16 bytes of codes multiplies. */
const UNIT = 32;
const PLANES = 3;
/** Even and odd values of a unit, per digit: a vector of sixteen int8 each. */
const VECTORS = 2 * PLANES;
const UNIT_BYTES = VECTORS * 16 + 8;

const memoryBytes = ({ rows, inner }: CodebookLinearSpec): number =>
  rows * Math.ceil(inner / UNIT) * UNIT_BYTES;

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

/** The largest value of a unit becomes this, which a float addition rounds (see `ROUND`). */
const LARGEST = 127 * 2 ** 14;

/**
 * Turns eight values of x, a quarter of a unit, into digits: value = scale * (65536 * digit 2 + 256 * digit 1 + digit 0).
 * Four neighbors share a unit, and its scale.
 */
function stageFunction({ inner }: CodebookLinearSpec): string {
  // First the even values of each eight, then the odd ones, as the nibbles of a word of codes lie.
  const digits = (odd: number): string => {
    const values = odd === 0 ? "a.x, a.z, b.x, b.z" : "a.y, a.w, b.y, b.w";
    const store = (plane: number, digit: string): string =>
      `digits[${odd + 2 * plane}u * PLACES + place][quarter] = bytes(${digit});`;
    return `{
      let whole = bitcast<vec4<i32>>(fma(vec4<f32>(${values}), vec4<f32>(inverse), vec4<f32>(${ROUND}))) - vec4<i32>(0x4b400000);
      let rest = (whole + vec4<i32>(128)) >> vec4<u32>(8u);
      ${store(0, "whole")} ${store(1, "rest")} ${store(2, "(rest + vec4<i32>(128)) >> vec4<u32>(8u)")}
    }`;
  };
  return `${loadX(inner)}
fn bytes(value: vec4<i32>) -> u32 {
  let parts = (bitcast<vec4<u32>>(value) & vec4<u32>(255u)) << vec4<u32>(0u, 8u, 16u, 24u);
  return parts.x | parts.y | parts.z | parts.w;
}
fn stage(a: vec4<f32>, b: vec4<f32>, place: u32, quarter: u32, inside: bool) {
  let size = max(abs(a), abs(b));
  var most = max(max(size.x, size.y), max(size.z, size.w));
  var total = (a.x + a.y) + (a.z + a.w) + ((b.x + b.y) + (b.z + b.w));
  most = max(most, subgroupShuffleXor(most, 1u));
  total += subgroupShuffleXor(total, 1u);
  most = max(most, subgroupShuffleXor(most, 2u));
  total += subgroupShuffleXor(total, 2u);
  if (inside) {
    let inverse = select(0.0, ${LARGEST}.0 / most, most > 0.0);
    ${digits(0)}
    ${digits(1)}
    if (quarter == 0u) { unit_scale[place] = vec2<f32>(most / ${LARGEST}.0, total); }
  }
}`;
}

/** Reading x, and turning it into digits: the statements of a decode kernel around its first reads of the weight. */
function staging(spec: CodebookLinearSpec, threads: number): { reads: string; prologue: string } {
  const units = packedRowBytes(spec.inner, 4) / 16;
  const quarters = spec.rows * units * 4;
  const items = range(Math.ceil(quarters / threads));
  const place = (i: number): string => `min((local + ${i * threads}u) / 4u, ${quarters / 4 - 1}u)`;
  const x = (i: number, half: number): string =>
    `x_at(${place(i)} / ${units}u, ${place(i)} % ${units}u * ${UNIT}u + 8u * (local % 4u) + ${4 * half}u)`;
  return {
    reads: [
      "let lowest = table[0]; let spacing = table[1] - lowest;",
      ...items.map((i) => `let a_${i} = ${x(i, 0)}; let b_${i} = ${x(i, 1)};`),
    ].join("\n  "),
    prologue: `${
      items.map((i) =>
        `stage(a_${i}, b_${i}, ${place(i)}, local % 4u, local + ${i * threads}u < ${quarters}u);`
      ).join("\n  ")
    }
  workgroupBarrier();`,
  };
}

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
    ...staging(spec, 32 * shape.subgroups),
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
  // Where the digits of x leave room for one workgroup on a processor only, it had better be a large one.
  {
    ...codebookLinearDecode("decode_32", { columns: 1, unroll: 4, subgroups: 32, workgroups: 128 }),
    suits: (spec) => memoryBytes(spec) > 24000 && spec.columns <= 16384,
  },
  codebookLinearDecode("decode_16", { columns: 1, unroll: 4, subgroups: 16, workgroups: 256 }),
];
