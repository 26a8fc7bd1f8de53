// Reading GGUF: a file byte by byte, one of the gguf package, and hostile ones.
import { assertEquals, assertRejects } from "@std/assert";
import { memorySource, openFileSource, openGguf, openSafetensors, readGgufQuantized } from "../../io/mod.ts";
import { dequantize } from "../../quant/mod.ts";

const FIXTURES = "tests/fixtures/gguf";

/** Bytes of a GGUF header, piece by piece: numbers are written in the width that their key says. */
type Piece = string | { u8: number } | { u32: number } | { u64: number | bigint } | Uint8Array<ArrayBuffer>;

function bytesOf(pieces: readonly Piece[]): Uint8Array<ArrayBuffer> {
  const parts = pieces.map((piece) => {
    if (typeof piece === "string") {
      const text = new TextEncoder().encode(piece);
      return [...new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer), ...text];
    }
    if (piece instanceof Uint8Array) return [...piece];
    if ("u8" in piece) return [piece.u8];
    if ("u32" in piece) return [...new Uint8Array(Uint32Array.of(piece.u32).buffer)];
    return [...new Uint8Array(BigUint64Array.of(BigInt(piece.u64)).buffer)];
  });
  return Uint8Array.from(parts.flat());
}

const MAGIC = new TextEncoder().encode("GGUF");

/** A file of these metadata and tensor table pieces, padded and followed by so many data bytes. */
function fileOf(
  pieces: { entries?: Piece[][]; tensors?: Piece[][]; dataBytes?: number; version?: number },
): Uint8Array<ArrayBuffer> {
  const { entries = [], tensors = [], dataBytes = 0, version = 3 } = pieces;
  const counts: Piece[] = [{ u64: tensors.length }, { u64: entries.length }];
  const header = bytesOf([MAGIC, { u32: version }, ...counts, ...entries.flat(), ...tensors.flat()]);
  const file = new Uint8Array(Math.ceil(header.length / 32) * 32 + dataBytes);
  file.set(header);
  return file;
}

/** A tensor table entry of type F32. */
const tensor = (name: string, columns: number | bigint, offset = 0, type = 0): Piece[] => [
  name,
  { u32: 1 },
  { u64: columns },
  { u32: type },
  { u64: offset },
];

const architecture: Piece[] = ["general.architecture", { u32: 8 }, "llama"];

Deno.test("openGguf() reads a file written out byte by byte", async () => {
  const file = fileOf({
    entries: [architecture],
    tensors: [["a", { u32: 2 }, { u64: 2 }, { u64: 1 }, { u32: 0 }, { u64: 0 }]],
    dataBytes: 32,
  });
  new Float32Array(file.buffer, file.length - 32).set([1, 2]);
  await using reader = await openGguf(memorySource(file));
  assertEquals([...reader.metadata], [["general.architecture", "llama"]]);
  assertEquals(reader.tensors.get("a")!.shape, [1, 2]);
  assertEquals(await reader.readFloat32("a"), Float32Array.of(1, 2));
});

Deno.test("openGguf() reads metadata of every kind as the gguf package wrote them", async () => {
  await using reader = await openGguf(await openFileSource(`${FIXTURES}/blocks.gguf`));
  const expected: Record<string, unknown> = {
    "general.architecture": "llama",
    "test.u32": 4_000_000_000,
    "test.i32": -7,
    "test.u64": 2n ** 63n,
    "test.f32": 0.5,
    "test.f64": 0.1,
    "test.bool": true,
    "test.text": "grüße",
    "test.texts": ["a", "", "ü"],
    "test.numbers": [1, -2, 3],
  };
  for (const [key, value] of Object.entries(expected)) {
    assertEquals(reader.metadata.get(key), value as never, key);
  }
});

Deno.test("openGguf() gives the values that the gguf package gives for every type", async () => {
  await using reader = await openGguf(await openFileSource(`${FIXTURES}/blocks.gguf`));
  await using expected = await openSafetensors(await openFileSource(`${FIXTURES}/blocks.safetensors`));
  assertEquals(reader.tensors.size, 14);
  for (const [name, { shape }] of reader.tensors) {
    assertEquals(shape, expected.tensors.get(name)!.shape, name);
    const values = await reader.readFloat32(name);
    const wanted = await expected.readFloat32(name);
    // The package may fold a product in another order: the last bit is free.
    const worst = values.reduce(
      (most, value, i) => Math.max(most, Math.abs(value - wanted[i]) / (Math.abs(wanted[i]) + 1e-6)),
      0,
    );
    assertEquals(worst < 1e-6, true, `${name}: ${worst}`);
  }
});

Deno.test("readGgufQuantized() keeps the codes and scales of blocks with one scale", async () => {
  await using reader = await openGguf(await openFileSource(`${FIXTURES}/blocks.gguf`));
  const kept: Record<string, number> = { Q4_0: 4, Q5_0: 5, Q8_0: 8, IQ4_NL: 4, Q6_K: 6, MXFP4: 4 };
  for (const name of reader.tensors.keys()) {
    if (name === "one_dimension") continue;
    const quantized = await readGgufQuantized(reader, name);
    assertEquals(quantized?.qparams.format.bits, kept[name], name);
    if (quantized) assertEquals(dequantize(quantized).data, await reader.readFloat32(name), name);
  }
});

Deno.test("openGguf() reads headers longer than the first read", async () => {
  const words = Array.from({ length: 200_000 }, (_, i) => `word ${i}`);
  const list: Piece[] = ["tokens", { u32: 9 }, { u32: 8 }, { u64: words.length }, ...words];
  await using reader = await openGguf(memorySource(fileOf({ entries: [list] })));
  assertEquals((reader.metadata.get("tokens") as string[]).at(-1), "word 199999");
});

Deno.test("readFloat32() of a type that cannot be dequantized names it", async () => {
  const file = fileOf({ tensors: [tensor("w", 256, 0, 16)], dataBytes: 96 });
  await using reader = await openGguf(memorySource(file));
  await assertRejects(() => reader.readFloat32("w"), TypeError, "its type IQ2_XXS is not supported");
  await assertRejects(() => reader.readFloat32("x"), RangeError, "Cannot read tensor x");
});

const key = (name: string, type: number, ...value: Piece[]): Piece[] => [name, { u32: type }, ...value];
const HUGE = 2n ** 63n;

const HOSTILE: [about: string, file: Uint8Array<ArrayBuffer>, problem: string][] = [
  ["an empty file", new Uint8Array(0), "it is truncated"],
  ["another format", new TextEncoder().encode("PK\x03\x04 and more"), 'does not begin with "GGUF"'],
  ["version 1", fileOf({ version: 1 }), "version 1 is not supported"],
  ["a byte-swapped version", fileOf({ version: 0x03000000 }), "version 50331648 is not supported"],
  ["a count of 2^63 tensors", bytesOf([MAGIC, { u32: 3 }, { u64: HUGE }, { u64: 0 }]), "claims a size of"],
  [
    "more tensors than bytes",
    bytesOf([MAGIC, { u32: 3 }, { u64: 9 }, { u64: 0 }]),
    "9 tensors, more than the file can hold",
  ],
  [
    "more entries than bytes",
    bytesOf([MAGIC, { u32: 3 }, { u64: 0 }, { u64: 9 }]),
    "9 metadata entries, more than the file",
  ],
  [
    "a string past the end",
    bytesOf([MAGIC, { u32: 3 }, { u64: 0 }, { u64: 1 }, { u64: 2 ** 40 }, new Uint8Array(8)]),
    "it is truncated",
  ],
  [
    "an array past the end",
    fileOf({ entries: [key("k", 9, { u32: 0 }, { u64: 2 ** 40 })] }),
    "elements of k, more than the file can hold",
  ],
  [
    "a nested array",
    fileOf({ entries: [key("k", 9, { u32: 9 }, { u64: 1 }, { u32: 0 }, { u64: 0 })] }),
    "k has the unknown type 9",
  ],
  [
    "an unknown value type",
    fileOf({ entries: [key("k", 13, { u32: 0 })] }),
    "metadata k has the unknown type 13",
  ],
  ["a repeated key", fileOf({ entries: [architecture, architecture] }), "general.architecture is repeated"],
  ["an empty key", fileOf({ entries: [key("", 4, { u32: 1 })] }), "a metadata key is empty"],
  ["a boolean of 2", fileOf({ entries: [key("k", 7, { u8: 2 })] }), "a boolean is 2"],
  [
    "invalid UTF-8",
    fileOf({ entries: [[{ u64: 1 }, Uint8Array.of(0xff), { u32: 4 }, { u32: 1 }]] }),
    "not valid UTF-8",
  ],
  [
    "an odd alignment",
    fileOf({ entries: [key("general.alignment", 4, { u32: 24 })] }),
    "24 is not a power of two",
  ],
  [
    "an alignment of 0",
    fileOf({ entries: [key("general.alignment", 4, { u32: 0 })] }),
    "0 is not a power of two",
  ],
  [
    "a repeated tensor",
    fileOf({ tensors: [tensor("a", 8), tensor("a", 8, 32)], dataBytes: 64 }),
    "tensor a is repeated",
  ],
  ["a name of 64 bytes", fileOf({ tensors: [tensor("a".repeat(64), 8)], dataBytes: 32 }), "is too long"],
  ["five dimensions", fileOf({ tensors: [["a", { u32: 5 }, new Uint8Array(52)]] }), "has 5 dimensions"],
  ["a removed type", fileOf({ tensors: [tensor("a", 32, 0, 4)], dataBytes: 32 }), "the unknown type 4"],
  [
    "half a block",
    fileOf({ tensors: [tensor("a", 40, 0, 2)], dataBytes: 64 }),
    "40 columns, not whole blocks of 32",
  ],
  ["an overflowing shape", fileOf({ tensors: [tensor("a", 2n ** 52n)], dataBytes: 32 }), "is too large"],
  [
    "a hole",
    fileOf({ tensors: [tensor("a", 8), tensor("b", 8, 64)], dataBytes: 96 }),
    "b lies at 64 instead of 32",
  ],
  [
    "an overlap",
    fileOf({ tensors: [tensor("a", 16), tensor("b", 8, 32)], dataBytes: 96 }),
    "b lies at 32 instead of 64",
  ],
  ["truncated data", fileOf({ tensors: [tensor("a", 9)], dataBytes: 35 }), "ends behind the file's"],
];

for (const [about, file, problem] of HOSTILE) {
  Deno.test(`openGguf() rejects ${about} in one line that names the file`, async () => {
    const error = await assertRejects(
      () => openGguf(memorySource(file, { name: "bad.gguf" })),
      SyntaxError,
      problem,
    );
    assertEquals(error.message.startsWith("Cannot read bad.gguf as GGUF: "), true);
    assertEquals(error.message.includes("\n"), false);
  });
}
