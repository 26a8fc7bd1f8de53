import { assertEquals, assertThrows } from "@std/assert";
import { pack, signExtend, unpack } from "@quik/quant/formats";

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
