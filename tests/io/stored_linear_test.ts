// Layers of other tools' checkpoints: the worked words of their layouts, and what is wrong with them.
import { assertEquals, assertRejects } from "@std/assert";
import {
  encodeSafetensors,
  memorySource,
  openSafetensors,
  readStoredLinear,
  type TensorReader,
  type TensorToWrite,
} from "../../io/mod.ts";
import { dequantize } from "../../quant/mod.ts";

const halves = (values: number[]) => Uint16Array.from(new Uint16Array(Float16Array.from(values).buffer));
const i32 = (name: string, shape: number[], words: number[]): TensorToWrite => ({
  name: `x.${name}`,
  type: "I32",
  shape,
  data: Uint32Array.from(words),
});
const f16 = (name: string, shape: number[], values: number[]): TensorToWrite => ({
  name: `x.${name}`,
  type: "F16",
  shape,
  data: halves(values),
});
const u8 = (
  name: string,
  type: "U8" | "I8" | "F8_E4M3",
  shape: number[],
  bytes: number[],
): TensorToWrite => ({
  name: `x.${name}`,
  type,
  shape,
  data: Uint8Array.from(bytes),
});
const f32 = (name: string, shape: number[], values: number[]): TensorToWrite => ({
  name: `x.${name}`,
  type: "F32",
  shape,
  data: Float32Array.from(values),
});

async function open(tensors: TensorToWrite[]): Promise<TensorReader> {
  return await openSafetensors(memorySource(await encodeSafetensors(tensors)));
}

async function valuesOf(tensors: TensorToWrite[], config: Record<string, unknown>): Promise<number[][]> {
  const stored = (await readStoredLinear(await open(tensors), "x", config))!;
  const { data, rows, cols } = dequantize(stored.weight);
  return Array.from({ length: rows }, (_, row) => [...data.subarray(row * cols, (row + 1) * cols)]);
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Codes 0, 8, 7, 9, 1, 15, 14, 2 packed down the inputs, for each of 8 outputs. */
const GPTQ_CODES = [0, 8, 7, 9, 1, 15, 14, 2];
const GPTQ_WEIGHT = i32("qweight", [1, 8], range(8).map(() => 0x2ef19780));
const GPTQ_ZEROS = [8, 7, 9, 1, 15, 14, 2, 10];
const gptq = (fields: Record<string, unknown> = {}) => ({
  quant_method: "gptq",
  bits: 4,
  group_size: 8,
  ...fields,
});

for (const [version, word] of [["gptq", 0x91de0867], ["gptq_v2", 0xa2ef1978]] as const) {
  Deno.test(`readStoredLinear() reads zero points of ${version}`, async () => {
    const tensors = [
      GPTQ_WEIGHT,
      i32("qzeros", [1, 1], [word]),
      f16("scales", [1, 8], range(8).map((row) => row + 1)),
      i32("g_idx", [8], new Array(8).fill(0)),
    ];
    const expected = range(8).map((row) => GPTQ_CODES.map((code) => (code - GPTQ_ZEROS[row]) * (row + 1)));
    assertEquals(await valuesOf(tensors, gptq({ checkpoint_format: version })), expected);
  });
}

Deno.test("readStoredLinear() follows GPTQ's activation order", async () => {
  const groupOf = [1, 0, 1, 0, 0, 1, 0, 1];
  const tensors = [
    GPTQ_WEIGHT,
    i32("qzeros", [2, 1], [0x77777777, 0x77777777]),
    f16("scales", [2, 8], [...new Array(8).fill(1), ...new Array(8).fill(3)]),
    i32("g_idx", [8], groupOf),
  ];
  const row = GPTQ_CODES.map((code, column) => (code - 8) * (groupOf[column] === 0 ? 1 : 3));
  assertEquals(await valuesOf(tensors, gptq()), range(8).map(() => row));
});

Deno.test("readStoredLinear() reads codes of 3 bits across words", async () => {
  const words = [0xa878cea8, 0xcea878ce, 0x78cea878];
  const tensors = [
    i32("qweight", [3, 32], words.flatMap((word) => new Array(32).fill(word))),
    i32("qzeros", [1, 3], new Array(3).fill(0)),
    f16("scales", [1, 32], new Array(32).fill(1)),
    i32("g_idx", [32], new Array(32).fill(0)),
  ];
  const row = range(32).map((i) => 5 * i % 8 - 1);
  assertEquals((await valuesOf(tensors, gptq({ bits: 3 })))[31], row);
});

Deno.test("readStoredLinear() reads AWQ's order of columns", async () => {
  const tensors = [
    i32("qweight", [2, 1], [0x75316420, 0x88888888]),
    i32("qzeros", [1, 1], [0x75316420]),
    f16("scales", [1, 8], new Array(8).fill(0.5)),
  ];
  const config = { quant_method: "awq", bits: 4, group_size: 2, version: "gemm" };
  assertEquals(await valuesOf(tensors, config), range(8).map((row) => [0, (8 - row) / 2]));
});

const COMPRESSED = {
  quant_method: "compressed-tensors",
  config_groups: { group_0: { weights: { num_bits: 4 } } },
};

Deno.test("readStoredLinear() reads compressed-tensors words, symmetric and with zero points", async () => {
  const tensors = [
    i32("weight_packed", [8, 1], new Array(8).fill(0xfea98710)),
    f16("weight_scale", [8, 1], range(8).map((row) => row + 1)),
    { name: "x.weight_shape", type: "I64", shape: [2], data: BigInt64Array.of(8n, 8n) } as const,
    f16("bias", [8], range(8)),
  ];
  const codes = [-8, -7, -1, 0, 1, 2, 6, 7];
  assertEquals(
    await valuesOf(tensors, COMPRESSED),
    range(8).map((row) => codes.map((code) => code * (row + 1) + 0)),
  );
  const zeros = [-8, -3, 0, 7, 1, 2, 3, 4];
  tensors.push(i32("weight_zero_point", [1, 1], [0xcba9f850]));
  const expected = zeros.map((zero, row) => codes.map((code) => (code - zero) * (row + 1)));
  assertEquals(await valuesOf(tensors, COMPRESSED), expected);
  const stored = await readStoredLinear(await open(tensors), "x", COMPRESSED);
  assertEquals(stored!.bias, Float32Array.from(range(8)));
});

const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
const NIBBLES = [0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe];

Deno.test("readStoredLinear() reads nvfp4 with its global divisor and mxfp4 with its exponents", async () => {
  const row = [...E2M1, ...E2M1.map((value) => -value)];
  const nvfp4 = [
    u8("weight_packed", "U8", [1, 16], [...NIBBLES, ...NIBBLES]),
    u8("weight_scale", "F8_E4M3", [1, 2], [0x38, 0x40]),
    f32("weight_global_scale", [1], [4]),
  ];
  const expected = [...row.map((value) => value / 4), ...row.map((value) => value / 2)];
  assertEquals(await valuesOf(nvfp4, COMPRESSED), [expected]);
  const mxfp4 = [nvfp4[0], u8("weight_scale", "U8", [1, 1], [129])];
  assertEquals(await valuesOf(mxfp4, COMPRESSED), [[...row, ...row].map((value) => value * 4)]);
});

Deno.test("readStoredLinear() lays float8 scales over tensors, channels and ragged blocks of 128", async () => {
  const ones = u8("weight", "F8_E4M3", [200, 130], new Array(200 * 130).fill(0x38));
  const corners = async (shape: number[], scales: number[]) => {
    const rows = await valuesOf([ones, f32("weight_scale", shape, scales)], COMPRESSED);
    return [rows[0][0], rows[0][129], rows[127][128], rows[128][127], rows[199][129]];
  };
  assertEquals(await corners([1], [3]), [3, 3, 3, 3, 3]);
  assertEquals(await corners([200, 1], range(200)), [0, 0, 127, 128, 199]);
  assertEquals(await corners([2, 2], [1, 2, 3, 4]), [1, 2, 2, 3, 4]);
});

Deno.test("readStoredLinear() reads LLM.int8() rows", async () => {
  const tensors = [u8("weight", "I8", [2, 2], [127, 129, 1, 0]), f32("SCB", [2], [127, 254])];
  assertEquals(await valuesOf(tensors, { quant_method: "bitsandbytes" }), [[127, -127], [2, 0]]);
});

Deno.test("readStoredLinear() gives undefined for a dense layer of every method", async () => {
  const reader = await open([f32("weight", [1, 1], [1])]);
  for (const method of ["gptq", "awq", "compressed-tensors", "bitsandbytes"]) {
    assertEquals(await readStoredLinear(reader, "x", { quant_method: method, bits: 4 }), undefined, method);
  }
});

const packed = i32("weight_packed", [1, 1], [0]);
const shape8 = { name: "x.weight_shape", type: "I64", shape: [2], data: BigInt64Array.of(1n, 8n) } as const;
const state = (text: string): TensorToWrite[] => {
  const bytes = new TextEncoder().encode(text);
  const name = "x.weight.quant_state.bitsandbytes__nf4";
  return [{ name, type: "U8", shape: [bytes.length], data: bytes }];
};
const BNB = { quant_method: "bitsandbytes" };

const BAD: [about: string, tensors: TensorToWrite[], config: unknown, problem: string][] = [
  ["an unknown method", [], { quant_method: "magic" }, 'the method "magic" is none of quik, gptq, awq'],
  ["no method", [], null, "the method undefined is none of"],
  ["a method off the prototype", [], { quant_method: "toString" }, 'the method "toString"'],
  ["odd bits", [GPTQ_WEIGHT], gptq({ bits: 5 }), "Cannot read a GPTQ checkpoint of 5 bits"],
  ["missing scales", [GPTQ_WEIGHT], gptq(), "Cannot read tensor x.scales"],
  [
    "a shape that disagrees",
    [GPTQ_WEIGHT, f16("scales", [1, 8], range(8)), i32("g_idx", [16], range(16))],
    gptq(),
    "Cannot read x.qweight as I32 [2, 8]: it is I32 [1, 8]",
  ],
  [
    "a group that does not exist",
    [
      GPTQ_WEIGHT,
      i32("qzeros", [1, 1], [0]),
      f16("scales", [1, 8], range(8)),
      i32("g_idx", [8], [0, 0, 0, 0, 0, 0, 0, 5]),
    ],
    gptq(),
    "5 is not one of 1 groups",
  ],
  ["another AWQ kernel", [GPTQ_WEIGHT], { quant_method: "awq", bits: 4, version: "gemv" }, "version gemv"],
  [
    "a scale that is not finite",
    [packed, shape8, f16("weight_scale", [1, 1], [NaN])],
    COMPRESSED,
    "Cannot read x.weight_scale: scale 0 is NaN",
  ],
  [
    "words that hold no width",
    [
      packed,
      { ...shape8, data: BigInt64Array.of(1n, 999n) },
      f16("weight_scale", [1, 1], [1]),
    ],
    COMPRESSED,
    "1 words do not hold rows of 999 codes of 4 bits",
  ],
  [
    "scales that tile nothing",
    [u8("weight", "I8", [6, 5], range(30)), f32("weight_scale", [6, 4], new Array(24).fill(1))],
    COMPRESSED,
    "Cannot lay scales [6, 4] over a weight [6, 5]",
  ],
  ["blocks across rows", state('{"shape":[2,96],"blocksize":64}'), BNB, "its blocks of 64 cross rows of 96"],
  ["a state without shape", state('{"blocksize":64}'), BNB, "needs a shape of two sizes"],
  [
    "a state with a lying shape",
    state('{"shape":[1e9,-1],"blocksize":64}'),
    BNB,
    "needs a shape of two sizes",
  ],
];

for (const [about, tensors, config, problem] of BAD) {
  Deno.test(`readStoredLinear() rejects ${about}`, async () => {
    const reader = await open(tensors);
    const error = await assertRejects(() => readStoredLinear(reader, "x", config), Error, problem);
    assertEquals(error.message.includes("\n"), false);
  });
}
