import { assertEquals, assertThrows } from "@std/assert";
import { float16, pack, type PackingOrder, signExtend, unpack } from "@quik/quant/formats";

function someCodes(count: number, bits: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: count }, (_, i) => (i * 2654435761 >>> 7) & (2 ** bits - 1));
}

Deno.test("pack() row-major puts code i at bits i * width, for every width and count", () => {
  for (let bits = 1; bits <= 8; bits++) {
    for (const count of [0, 8, 16, 40, 1000, 1024]) {
      const codes = someCodes(count, bits);
      let stream = 0n;
      codes.forEach((code, i) => stream |= BigInt(code) << BigInt(i * bits));
      const expected = Uint8Array.from(
        { length: count * bits / 8 },
        (_, i) => Number((stream >> BigInt(8 * i)) & 255n),
      );
      const packed = pack(codes, bits);
      assertEquals(packed, expected, `${bits} bits, ${count} codes`);
      assertEquals(unpack(packed, bits, count), codes);
    }
  }
});

Deno.test("pack() pads rows to rowBytes with zeros", () => {
  for (let bits = 1; bits <= 8; bits++) {
    for (const columns of [1, 5, 11, 32]) {
      const codes = someCodes(3 * columns, bits);
      const shape = [3, columns] as const;
      const packed = pack(codes, bits, { shape, rowBytes: 48 });
      assertEquals(packed.length, 144);
      assertEquals(unpack(packed, bits, codes.length, { shape, rowBytes: 48 }), codes);
      const used = Math.ceil(columns * bits / 8);
      assertEquals(packed.subarray(used, 48).every((byte) => byte === 0), true);
    }
  }
});

Deno.test("pack() takes signed codes, signExtend() gives them back", () => {
  const codes = Int8Array.of(-4, -1, 0, 3, 2, -3, 1, -2);
  const packed = pack(codes, 3);
  assertEquals(signExtend(unpack(packed, 3, 8), 3), codes);
  assertEquals(pack(Int8Array.of(-8, 7), 4), Uint8Array.of(0x78));
});

Deno.test("pack() takes codes in any array", () => {
  assertEquals(pack([-8, 7], 4), Uint8Array.of(0x78));
  assertEquals(pack(Uint16Array.of(8, 7), 4), Uint8Array.of(0x78));
  assertThrows(() => pack([-1, 200], 8), RangeError, "Cannot pack 200 in 8 bits");
  assertThrows(() => pack([0.5, 1], 4), RangeError, "Cannot pack 0.5");
  assertThrows(() => pack(Uint16Array.of(300, 0), 4), RangeError, "Cannot pack 300");
  assertThrows(() => pack([16, 0], 4), RangeError, "outside 0 to 15");
});

Deno.test("pack() and unpack() throw on what does not fit", () => {
  assertThrows(
    () => pack(new Uint8Array(7), 4),
    RangeError,
    "Cannot pack 7 codes as int4: the count must be even",
  );
  assertThrows(() => pack(new Uint8Array(6), 2), RangeError, "the count must be a multiple of 4");
  assertThrows(() => pack(new Uint8Array(12), 3), RangeError, "the count must be a multiple of 8");
  assertThrows(() => pack(Uint8Array.of(16, 0), 4), RangeError, "outside 0 to 15");
  assertThrows(() => pack(Int8Array.of(-9, 0), 4), RangeError, "outside -8 to 7");
  assertThrows(() => pack(Int8Array.of(8, 0), 4), RangeError, "outside -8 to 7");
  assertThrows(() => pack(new Uint8Array(8), 9), RangeError, "from 1 to 8");
  assertThrows(() => unpack(new Uint8Array(4), 0, 8), RangeError, "from 1 to 8");
  assertThrows(() => unpack(new Uint8Array(4), 4, 10), RangeError, "they take 5");
  assertThrows(() => pack(new Uint8Array(8), 4, { shape: [2, 3] }), RangeError, "the shape must hold them");
  assertThrows(() => pack(new Uint8Array(8), 4, { shape: [2, 4], rowBytes: 1 }), RangeError, "they take 2");
});

function words(packed: Uint8Array<ArrayBuffer>): number[] {
  return [...new Uint32Array(packed.buffer)];
}

Deno.test("bitsandbytes order puts the first code in the high nibble", () => {
  assertEquals(pack(Uint8Array.of(15, 0, 12, 2), 4, { order: "bitsandbytes" }), Uint8Array.of(0xf0, 0xc2));
});

Deno.test("gguf order pairs code j with code j + 16", () => {
  const packed = pack(Uint8Array.from({ length: 32 }, (_, i) => i >> 1), 4, { order: "gguf" });
  assertEquals([...packed.subarray(0, 4)], [0x80, 0x80, 0x91, 0x91]);
});

Deno.test("interleaved order gives four neighbors per mask", () => {
  const codes = someCodes(64, 4);
  words(pack(codes, 4, { order: "interleaved" })).forEach((word, w) => {
    const bytes = (value: number) => [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
    assertEquals(bytes(word & 0x0f0f0f0f), [...codes.subarray(8 * w, 8 * w + 4)]);
    assertEquals(bytes((word >>> 4) & 0x0f0f0f0f), [...codes.subarray(8 * w + 4, 8 * w + 8)]);
  });
});

Deno.test("compressed-tensors order gives the library's words", () => {
  const order = "compressed-tensors";
  const offset = (bits: number, codes: number[]) => Uint8Array.from(codes, (code) => code + 2 ** (bits - 1));
  assertEquals(words(pack(offset(4, [-8, -7, -1, 0, 1, 2, 6, 7]), 4, { order })), [0xfea98710]);
  assertEquals(words(pack(offset(8, [-128, -1, 0, 127]), 8, { order })), [0xff807f00]);
  const three = offset(3, Array.from({ length: 32 }, (_, i) => (5 * i) % 8 - 4));
  assertEquals(words(pack(three, 3, { order })), [0xa878cea8, 0xcea878ce, 0x78cea878]);
  assertEquals(words(pack(new Uint8Array(10).fill(9), 4, { order })), [0x99999999, 0x99]);
  // Zero points go down the outputs: eight rows of one group fill one word.
  const zeros = offset(4, [-8, -3, 0, 7, 1, 2, 3, 4]);
  assertEquals(words(pack(zeros, 4, { order, shape: [8, 1], axis: 0 })), [0xcba9f850]);
});

Deno.test("gptq order packs down the inputs of each output", () => {
  const codes = Uint8Array.of(0, 8, 7, 9, 1, 15, 14, 2, 1, 1, 1, 1, 1, 1, 1, 1);
  assertEquals(words(pack(codes, 4, { order: "gptq", shape: [2, 8] })), [0x2ef19780, 0x11111111]);
});

Deno.test("awq order holds outputs 0 2 4 6 1 3 5 7", () => {
  const codes = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7);
  assertEquals(words(pack(codes, 4, { order: "awq", shape: [8, 1] })), [0x75316420]);
});

Deno.test("marlin order places every code where its definition says", () => {
  // Independent of the packer: the permutation of 1,024 values of four 16x16 tiles, one after the other along the outputs.
  const [outputs, inputs] = [128, 32];
  const codes = someCodes(outputs * inputs, 4);
  const packed = words(pack(codes, 4, { order: "marlin", shape: [outputs, inputs] }));
  const at = (tileRow: number, tileGroup: number, index: number): number => {
    const [tile, r, c] = [index >> 8, (index >> 4) & 15, index & 15];
    return codes[(64 * tileGroup + 16 * tile + c) * inputs + 16 * tileRow + r];
  };
  const seen = new Set<number>();
  for (let lane = 0; lane < 32; lane++) {
    for (let tile = 0; tile < 4; tile++) {
      const rows = [2 * (lane % 4), 2 * (lane % 4) + 1, 2 * (lane % 4) + 8, 2 * (lane % 4) + 9];
      const eight = [0, 1].flatMap((half) => rows.map((r) => 256 * tile + 16 * r + (lane >> 2) + 8 * half));
      [0, 2, 4, 6, 1, 3, 5, 7].forEach((item, p) => {
        seen.add(eight[item]);
        for (const [tileRow, tileGroup] of [[0, 0], [1, 0], [0, 1], [1, 1]]) {
          const word = packed[tileRow * 2 * outputs + tileGroup * 128 + 4 * lane + tile];
          assertEquals((word >>> (4 * p)) & 15, at(tileRow, tileGroup, eight[item]));
        }
      });
    }
  }
  assertEquals(seen.size, 1024);
});

Deno.test("unpack() inverts pack() for every order, width, axis and shape that is legal", () => {
  const legal: Record<PackingOrder, number[]> = {
    "row-major": [1, 2, 3, 4, 5, 6, 7, 8],
    "bitsandbytes": [4],
    "gguf": [4],
    "interleaved": [1, 2, 4, 8],
    "compressed-tensors": [1, 2, 3, 4, 5, 6, 7, 8],
    "gptq": [2, 3, 4, 8],
    "awq": [4],
    "marlin": [4],
  };
  for (const [order, widths] of Object.entries(legal) as [PackingOrder, number[]][]) {
    const isWeight = order === "gptq" || order === "awq" || order === "marlin";
    for (let bits = 1; bits <= 8; bits++) {
      const shapes = [[64, 32], [128, 64], [192, 96]] as const;
      if (!widths.includes(bits)) {
        assertThrows(() => pack(new Uint8Array(2048), bits, { order, shape: shapes[0] }), RangeError, "bits");
        continue;
      }
      for (const shape of shapes) {
        const codes = someCodes(shape[0] * shape[1], bits);
        for (const axis of isWeight ? [undefined] : [0, 1] as const) {
          const options = { order, shape, axis };
          assertEquals(
            unpack(pack(codes, bits, options), bits, codes.length, options),
            codes,
            `${order} ${bits}`,
          );
        }
      }
      if (isWeight) continue;
      // Ragged lines, padded.
      const codes = someCodes(7 * 13, bits);
      for (const axis of [0, 1] as const) {
        const options = { order, shape: [7, 13] as const, axis, rowBytes: 32 };
        assertEquals(unpack(pack(codes, bits, options), bits, 91, options), codes, `${order} ${bits} ragged`);
      }
    }
  }
});

Deno.test("pack() refuses orders and shapes that do not fit", () => {
  const codes = new Uint8Array(96);
  assertThrows(
    () => pack(codes, 4, { order: "nibbles" as PackingOrder }),
    RangeError,
    "the orders are row-major",
  );
  assertThrows(() => pack(codes, 4, { order: "gptq" }), TypeError, "takes the shape of a weight");
  assertThrows(() => pack(codes, 4, { order: "awq", shape: [12, 8] }), RangeError, "multiple of [8, 1]");
  assertThrows(() => pack(codes, 4, { order: "marlin", shape: [96, 1] }), RangeError, "multiple of [64, 16]");
  assertThrows(() => pack(codes, 4, { order: "gptq", shape: [8, 12] }), RangeError, "a multiple of 8");
  assertThrows(() => pack(codes.subarray(0, 33), 4, { order: "gguf" }), RangeError, "a multiple of 32");
  assertThrows(
    () => pack(codes, 3, { order: "bitsandbytes" }),
    RangeError,
    "in bitsandbytes order: it has 4",
  );
  assertThrows(() => unpack(codes, 4, 128, { order: "awq", shape: [8, 16] }), RangeError, "they take 64");
});

Deno.test("a nibble below the bits of 1024 is a float16 of 1024 and the nibble", () => {
  for (let v = 0; v < 16; v++) {
    assertEquals(float16.decode(0x6400 | v) - 1032, v - 8);
    assertEquals(float16.decode(0x6400 | (v << 4)) / 16 - 72, v - 8);
  }
});
