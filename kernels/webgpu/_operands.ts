// How each storage type of a matrix becomes the four-word vectors of a product: packed integer codes, float rows with
// and without padding, and codes that go through a table.
import type { CodeBits, FloatType, ScaleType } from "../specs.ts";
import type { Operand } from "./_tile.ts";

/** Which buffer an operand reads, and the WGSL expressions of its size. */
export interface OperandSource {
  /** Name of the binding. */
  readonly buffer: string;
  /** Number of rows; rows beyond are read as the last one. */
  readonly rows: string;
}

/** WGSL function `spread_low`: sixteen packed nibbles to bytes of 16 times their value, in order. */
export const SPREAD_NIBBLES = `
// Four nibbles of a half word, in order, to the high halves of four bytes: each byte is 16 times its signed nibble.
fn spread_nibbles(half: u32) -> u32 {
  let pairs = (half | (half << 8u)) & 0x00ff00ffu;
  return ((pairs << 4u) & 0x00f000f0u) | ((pairs << 8u) & 0xf000f000u);
}
fn spread_low(words: vec2<u32>) -> vec4<u32> {
  return vec4<u32>(spread_nibbles(words.x & 0xffffu), spread_nibbles(words.x >> 16u),
    spread_nibbles(words.y & 0xffffu), spread_nibbles(words.y >> 16u));
}`;

/**
 * Packed signed codes in padded rows. Nibbles are moved to the high half of a byte, where their sign bit is the byte's:
 * such a value is 16 times the code, which the caller divides out (`codeShift`).
 *
 * @param source Binding `array<vec4<u32>>`; its row stride in vectors is `uniforms.<buffer>_stride`.
 * @param bits Bits of a code.
 * @param otherBits Bits of a code of the other operand. If both have 4, even and odd codes are split, which is cheaper
 * than keeping the order and equal in both.
 */
export function codesOperand({ buffer, rows }: OperandSource, bits: CodeBits, otherBits: CodeBits): Operand {
  const { functions, expand } = codesExpansion(bits, otherBits);
  const declarations = `
fn fetch_${buffer}(row: u32, unit: u32) -> vec4<u32> {
  let stride = uniforms.${buffer}_stride;
  let value = ${buffer}[min(row, ${rows} - 1u) * stride + min(unit, stride - 1u)];
  return select(vec4<u32>(0u), value, unit < stride);
}`;
  return {
    declarations: functions + declarations,
    type: "vec4<u32>",
    fetch: (row, unit) => `fetch_${buffer}(${row}, ${unit})`,
    expand,
  };
}

/** How a unit of sixteen bytes of packed codes becomes vectors of sixteen int8. */
export interface CodesExpansion {
  /** WGSL functions that `expand` calls. */
  readonly functions: string;
  /** WGSL expressions of the vectors. */
  readonly expand: readonly ((value: string) => string)[];
}

/** The expansion that `codesOperand` describes. */
export function codesExpansion(bits: CodeBits, otherBits: CodeBits): CodesExpansion {
  const high = "vec4<u32>(0xf0f0f0f0u)";
  if (bits === 8) return { functions: "", expand: [(value) => value] };
  if (otherBits === 4) {
    return {
      functions: "",
      expand: [(value) => `(${value} << vec4<u32>(4u)) & ${high}`, (value) => `${value} & ${high}`],
    };
  }
  return {
    functions: SPREAD_NIBBLES,
    expand: [(value) => `spread_low(${value}.xy)`, (value) => `spread_low(${value}.zw)`],
  };
}

/** Power of two by which an accumulated product of `codesOperand`s is too large, as a shift. */
export function codeShift(activationBits: CodeBits, weightBits: CodeBits): number {
  return (activationBits === 4 ? 4 : 0) + (weightBits === 4 ? 4 : 0);
}

/**
 * float16 values in padded rows, eight to a unit.
 *
 * @param source Binding `array<vec4<u32>>`; its row stride in vectors is `uniforms.outlier_stride`.
 * @param word Type of the words of the vectors that it expands to.
 */
export function halfRowsOperand({ buffer, rows }: OperandSource, word: "u32" | "f32"): Operand {
  const cast = (value: string): string => word === "u32" ? `bitcast<vec4<u32>>(${value})` : value;
  return {
    declarations: `
fn fetch_${buffer}(row: u32, unit: u32) -> vec4<u32> {
  let stride = uniforms.outlier_stride;
  let value = ${buffer}[min(row, ${rows} - 1u) * stride + min(unit, stride - 1u)];
  return select(vec4<u32>(0u), value, unit < stride);
}`,
    type: "vec4<u32>",
    fetch: (row, unit) => `fetch_${buffer}(${row}, ${unit})`,
    expand: [
      (value) => cast(`vec4<f32>(unpack2x16float(${value}.x), unpack2x16float(${value}.y))`),
      (value) => cast(`vec4<f32>(unpack2x16float(${value}.z), unpack2x16float(${value}.w))`),
    ],
  };
}

/** How a float matrix is bound and read. */
export interface FloatRows {
  /** WGSL type of the binding. */
  readonly binding: string;
  /** The operand. */
  readonly operand: Operand;
}

/**
 * Float rows without padding, `uniforms.inner` values each. Where rows start at multiples of 16 bytes they are read
 * that much at a time, otherwise value by value.
 *
 * @param source The binding, of the returned type.
 * @param type Storage type.
 * @param inner Length of a row.
 */
export function floatRowsOperand(source: OperandSource, type: FloatType, inner: number): FloatRows {
  const perUnit = type === "float32" ? 4 : 8;
  return inner % perUnit === 0 && inner > 0
    ? alignedRows(source, type, perUnit)
    : { binding: floatStorage(type).binding, operand: raggedRows(source, type) };
}

function alignedRows({ buffer, rows }: OperandSource, type: FloatType, perUnit: number): FloatRows {
  const vector = type === "float32" ? "vec4<f32>" : "vec4<u32>";
  const pair = (word: string): string =>
    type === "float16" ? `unpack2x16float(${word})` : `bfloat16_pair(${word})`;
  const expand = type === "float32" ? [(value: string) => value] : [
    (value: string) => `vec4<f32>(${pair(`${value}.x`)}, ${pair(`${value}.y`)})`,
    (value: string) => `vec4<f32>(${pair(`${value}.z`)}, ${pair(`${value}.w`)})`,
  ];
  return {
    binding: `array<${vector}>`,
    operand: {
      declarations: `${type === "bfloat16" ? BFLOAT16 : ""}
fn fetch_${buffer}(row: u32, unit: u32) -> ${vector} {
  let stride = uniforms.inner / ${perUnit}u;
  let value = ${buffer}[min(row, ${rows} - 1u) * stride + min(unit, stride - 1u)];
  return select(${vector}(), value, unit < stride);
}`,
      type: vector,
      fetch: (row, unit) => `fetch_${buffer}(${row}, ${unit})`,
      expand,
    },
  };
}

function raggedRows({ buffer, rows }: OperandSource, type: FloatType): Operand {
  const { load } = floatStorage(type);
  const value = (i: number): string => {
    const k = `k + ${i}u`;
    return `select(0.0, ${load(buffer, `start + min(${k}, uniforms.inner - 1u)`)}, ${k} < uniforms.inner)`;
  };
  return {
    declarations: `
fn fetch_${buffer}(row: u32, unit: u32) -> vec4<f32> {
  let start = min(row, ${rows} - 1u) * uniforms.inner;
  let k = unit * 4u;
  return vec4<f32>(${[0, 1, 2, 3].map(value).join(", ")});
}`,
    type: "vec4<f32>",
    fetch: (row, unit) => `fetch_${buffer}(${row}, ${unit})`,
    expand: [(fetched) => fetched],
  };
}

const BFLOAT16 = `
fn bfloat16_pair(word: u32) -> vec2<f32> {
  return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));
}`;

/** How one value of a dense float or scale array is read. */
export interface FloatStorage {
  /** WGSL type of the binding. */
  readonly binding: string;
  /** WGSL expression of type u32: the word of `buffer` that holds element `index`. */
  word(buffer: string, index: string): string;
  /** WGSL expression for element `index`, given its word. */
  value(word: string, index: string): string;
  /** WGSL expression for element `index` of `buffer`. */
  load(buffer: string, index: string): string;
}

/** Element access of each storage type. */
export function floatStorage(type: FloatType | ScaleType): FloatStorage {
  if (type === "float32") {
    return {
      binding: "array<f32>",
      word: (buffer, index) => `bitcast<u32>(${buffer}[${index}])`,
      value: (word) => `bitcast<f32>(${word})`,
      load: (buffer, index) => `${buffer}[${index}]`,
    };
  }
  const perWord = type.startsWith("float8") ? 4 : 2;
  const bits = 32 / perWord;
  const decode: Record<Exclude<FloatType | ScaleType, "float32">, (part: string) => string> = {
    float16: (part) => `unpack2x16float(${part}).x`,
    bfloat16: (part) => `bitcast<f32>(${part} << 16u)`,
    float8E4M3: (part) => `decode_e4m3(${part})`,
    float8E8M0: (part) => `decode_e8m0(${part})`,
  };
  const word = (buffer: string, index: string): string => `${buffer}[(${index}) / ${perWord}u]`;
  const value = (from: string, index: string): string =>
    decode[type](`((${from} >> (((${index}) % ${perWord}u) * ${bits}u)) & ${2 ** bits - 1}u)`);
  return {
    binding: "array<u32>",
    word,
    value,
    load: (buffer, index) => value(word(buffer, index), index),
  };
}

/** WGSL functions that `floatStorage` calls for 8-bit types. */
export const FLOAT8_FUNCTIONS = `
fn decode_e4m3(code: u32) -> f32 {
  let exponent = (code >> 3u) & 15u;
  let mantissa = code & 7u;
  let normal = bitcast<f32>(((exponent + 120u) << 23u) | (mantissa << 20u));
  let size = select(normal, f32(mantissa) * 0.001953125, exponent == 0u);
  return select(size, -size, code >= 128u);
}
fn decode_e8m0(code: u32) -> f32 {
  return select(bitcast<f32>(code << 23u), bitcast<f32>(0x00400000u), code == 0u);
}`;
