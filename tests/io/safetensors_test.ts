// Reading and writing safetensors: a file byte by byte, round trips, and hostile files.
import { assertEquals, assertRejects } from "@std/assert";
import { encodeSafetensors, memorySource, openSafetensors, type TensorType } from "../../io/mod.ts";

/** A file with this header and so many data bytes; `length` overrides the header length that it claims. */
function fileOf(
  header: string | Uint8Array,
  dataBytes = 0,
  length?: bigint,
): Uint8Array<ArrayBuffer> {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

const entry = (begin: number, end: number, dtype = "F32", shape = [(end - begin) / 4]) =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

Deno.test("openSafetensors() reads a file written out byte by byte", async () => {
  const hex =
    "3a000000000000007b2261223a7b226474797065223a2242463136222c227368617065223a5b312c325d2c22646174" +
    "615f6f666673657473223a5b302c345d7d7d20803f0040";
  const bytes = Uint8Array.from(hex.match(/../g)!, (byte) => parseInt(byte, 16));
  await using reader = await openSafetensors(memorySource(bytes));
  assertEquals([...reader.tensors.keys()], ["a"]);
  assertEquals(reader.tensors.get("a")!.type, "BF16");
  assertEquals(reader.tensors.get("a")!.shape, [1, 2]);
  assertEquals(await reader.readFloat32("a"), Float32Array.of(1, 2));
  assertEquals(await reader.readBytes("a"), Uint8Array.of(0x80, 0x3f, 0, 0x40));
});

Deno.test("encodeSafetensors() writes every type so that it reads back as float32", async () => {
  const data: Record<TensorType, ArrayBufferView<ArrayBuffer>> = {
    BOOL: Uint8Array.of(1, 0),
    U8: Uint8Array.of(1, 200),
    I8: Int8Array.of(1, -128),
    U16: Uint16Array.of(1, 65535),
    I16: Int16Array.of(1, -32768),
    U32: Uint32Array.of(1, 2 ** 31),
    I32: Int32Array.of(1, -(2 ** 31)),
    U64: BigUint64Array.of(1n, 2n ** 63n),
    I64: BigInt64Array.of(1n, -(2n ** 63n)),
    F16: Uint16Array.of(0x3c00, 0xc100),
    BF16: Uint16Array.of(0x3f80, 0xc020),
    F32: Float32Array.of(1, -2.5),
    F64: Float64Array.of(1, -2.5),
    F8_E4M3: Uint8Array.of(0x38, 0x7e),
    F8_E5M2: Uint8Array.of(0x3c, 0x7b),
    F8_E8M0: Uint8Array.of(127, 130),
  };
  const second: Record<TensorType, number> = {
    BOOL: 0,
    U8: 200,
    I8: -128,
    U16: 65535,
    I16: -32768,
    U32: 2 ** 31,
    I32: -(2 ** 31),
    U64: 2 ** 63,
    I64: -(2 ** 63),
    F16: -2.5,
    BF16: -2.5,
    F32: -2.5,
    F64: -2.5,
    F8_E4M3: 448,
    F8_E5M2: 57344,
    F8_E8M0: 8,
  };
  const types = Object.keys(data) as TensorType[];
  const file = await encodeSafetensors(
    types.map((type) => ({ name: type, type, shape: [2], data: data[type] })),
  );
  await using reader = await openSafetensors(memorySource(file));
  for (const type of types) {
    assertEquals([...await reader.readFloat32(type)], [1, second[type]], type);
  }
});

Deno.test("encodeSafetensors() aligns every tensor, orders by size and name and keeps odd names", async () => {
  const file = await encodeSafetensors([
    { name: "bytes", type: "U8", shape: [3], data: Uint8Array.of(1, 2, 3) },
    { name: "__proto__", type: "F32", shape: [], data: () => Float32Array.of(7) },
    { name: 'q"\u2028', type: "F32", shape: [0, 4], data: () => Promise.resolve(new Float32Array(0)) },
    { name: "long", type: "I64", shape: [1], data: BigInt64Array.of(-1n) },
  ], { metadata: { made: "here" } });
  await using reader = await openSafetensors(memorySource(file));
  assertEquals([...reader.tensors.keys()], ["long", "__proto__", 'q"\u2028', "bytes"]);
  assertEquals([...reader.metadata], [["format", "pt"], ["made", "here"]]);
  assertEquals((file.length - 3 - 4 - 8) % 8, 0);
  assertEquals(await reader.readFloat32("__proto__"), Float32Array.of(7));
  assertEquals((await reader.readFloat32('q"\u2028')).length, 0);
});

Deno.test("encodeSafetensors() rejects data of the wrong size and repeated names", async () => {
  const tensor = { name: "a", type: "F32" as const, shape: [2], data: Float32Array.of(1, 2) };
  await assertRejects(
    () => encodeSafetensors([{ ...tensor, shape: [3] }]),
    RangeError,
    "Cannot write tensor a of F32 [3]: it needs 12 bytes, its data have 8",
  );
  await assertRejects(() => encodeSafetensors([tensor, tensor]), TypeError, "the name is taken");
});

Deno.test("readBytes() of an absent tensor names tensor and file", async () => {
  await using reader = await openSafetensors(memorySource(fileOf("{}"), { name: "x.safetensors" }));
  await assertRejects(
    () => reader.readBytes("w"),
    RangeError,
    "Cannot read tensor w: x.safetensors does not have it",
  );
});

const HOSTILE: [about: string, file: Uint8Array<ArrayBuffer>, problem: string][] = [
  ["an empty file", new Uint8Array(0), "it has only 0 bytes"],
  ["a file without a whole length", new Uint8Array(7), "it has only 7 bytes"],
  ["a header past the end", fileOf("{}", 0, 3n), "claims 3 bytes, 2 follow: it is truncated"],
  ["a header of 2^63 bytes", fileOf("{}", 0, 2n ** 63n), "more than 100000000"],
  ["an empty header", fileOf(""), 'does not begin with "{"'],
  ["a leading space", fileOf(" {}"), 'does not begin with "{"'],
  ["a byte order mark", fileOf("\ufeff{}"), 'does not begin with "{"'],
  ["padding with NUL", fileOf("{}\0"), "unexpected text"],
  ["invalid UTF-8", fileOf(Uint8Array.of(0x7b, 0xff, 0x7d)), "not valid UTF-8"],
  ["an unclosed object", fileOf(`{"a":${entry(0, 4)}`, 4), 'expected "}"'],
  ["an unclosed string", fileOf('{"a'), "malformed string"],
  ["a bad escape", fileOf('{"a\\x":1}'), "malformed string"],
  ["a missing value", fileOf('{"a":}'), "expected a value"],
  ["deep nesting", fileOf(`{"a":${"[".repeat(100_000)}`), "nested deeper than 16 levels"],
  ["a tensor that is no object", fileOf('{"a":[]}'), "tensor a is not an object"],
  ["metadata that is no object", fileOf('{"__metadata__":"x"}'), "__metadata__ is not an object"],
  ["metadata with a number", fileOf('{"__metadata__":{"k":1}}'), "a value that is not text: k"],
  ["repeated metadata", fileOf('{"__metadata__":{},"__metadata__":{}}'), 'duplicate key "__metadata__"'],
  ["a repeated name", fileOf(`{"a":${entry(0, 4)},"a":${entry(0, 4)}}`, 4), 'duplicate key "a"'],
  [
    "a name repeated by escape",
    fileOf(`{"a":${entry(0, 4)},"\\u0061":${entry(4, 8)}}`, 8),
    'duplicate key "a"',
  ],
  ["a repeated field", fileOf('{"a":{"dtype":"U8","dtype":"U8"}}'), 'duplicate key "dtype"'],
  ["no dtype", fileOf('{"a":{"shape":[],"data_offsets":[0,4]}}', 4), "tensor a has no dtype"],
  ["an unknown dtype", fileOf(`{"a":${entry(0, 4, "F3")}}`, 4), "unsupported dtype F3"],
  [
    "a dtype off the prototype",
    fileOf(`{"a":${entry(0, 4, "constructor")}}`, 4),
    "unsupported dtype constructor",
  ],
  ["no shape", fileOf('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4), "tensor a has no shape"],
  [
    "a fractional size",
    fileOf('{"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}}', 1),
    "not a list of sizes",
  ],
  ["a negative size", fileOf(`{"a":${entry(0, 4, "F32", [-1])}}`, 4), "not a list of sizes"],
  [
    "a size beyond 2^53",
    fileOf('{"a":{"dtype":"U8","shape":[1e16],"data_offsets":[0,1]}}', 1),
    "not a list of sizes",
  ],
  ["an overflowing product", fileOf(`{"a":${entry(0, 4, "F32", [2 ** 30, 2 ** 30])}}`, 4), "is too large"],
  [
    "a product of zero behind an overflow",
    fileOf(`{"a":${entry(0, 0, "F32", [2 ** 52, 2 ** 52, 0])}}`),
    "is too large",
  ],
  [
    "one offset",
    fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}', 1),
    "1 data_offsets instead of 2",
  ],
  ["reversed offsets", fileOf(`{"a":${entry(4, 0, "F32", [1])}}`, 4), "reversed data_offsets [4, 0]"],
  [
    "a wrong size",
    fileOf(`{"a":${entry(0, 4, "F32", [2])}}`, 4),
    "F32 [2] needs 8 bytes, data_offsets give 4",
  ],
  ["a hole", fileOf(`{"a":${entry(4, 8)}}`, 8), "a hole of 4 bytes before tensor a"],
  ["an overlap", fileOf(`{"a":${entry(0, 8)},"b":${entry(4, 12)}}`, 12), "tensor b overlaps another"],
  ["an alias", fileOf(`{"a":${entry(0, 4)},"b":${entry(0, 4)}}`, 4), "overlaps another"],
  ["truncated data", fileOf(`{"a":${entry(0, 8)}}`, 7), "need 8 bytes, 7 follow the header: it is truncated"],
  ["bytes after the data", fileOf(`{"a":${entry(0, 4)}}`, 5), "1 bytes follow the last tensor"],
];

for (const [about, file, problem] of HOSTILE) {
  Deno.test(`openSafetensors() rejects ${about} in one line that names the file`, async () => {
    const error = await assertRejects(
      () => openSafetensors(memorySource(file, { name: "bad.safetensors" })),
      SyntaxError,
      problem,
    );
    assertEquals(error.message.startsWith("Cannot read bad.safetensors as safetensors: "), true);
    assertEquals(error.message.includes("\n"), false);
  });
}
