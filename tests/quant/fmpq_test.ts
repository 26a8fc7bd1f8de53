import { assert, assertEquals, assertLess, assertLessOrEqual, assertThrows } from "@std/assert";
import { pack } from "@quik/quant/formats";
import {
  createMatrix,
  dequantizeMixedBlocks,
  expandNibbles,
  type Matrix,
  mixedBlockActivations,
  mixedBlockBits,
  outlierPermutation,
  outlierPermutationFinder,
  perTokenActivations,
  quantizeMixedBlocks,
  w4axProduct,
} from "@quik/quant/quant";
import { createLayerFixture, normalMatrix, product, relativeError } from "./_fixture.ts";

const blockSize = 16;
const { layer, inputs, calibration, outlierChannels } = createLayerFixture({ inputs: 80, outliers: 5 });
const { weight } = layer;
const count = (bits: Uint8Array) => bits.filter((b) => b === 8).length;

Deno.test("outlierPermutation() needs ceil(outliers / block) blocks of 8 bits, never more than without", () => {
  const { order, blockBits } = outlierPermutation(calibration.absmax, { blockSize });
  assertEquals(Uint32Array.from(order).sort(), Uint32Array.from({ length: 80 }, (_, i) => i));
  assertEquals([...order.subarray(0, 5)].sort((a, b) => a - b), outlierChannels);
  assertEquals(blockBits, Uint8Array.of(8, 4, 4, 4, 4));
  const before = count(mixedBlockBits(calibration.absmax, { blockSize }));
  assertLess(1, before);
  for (const ratio of [1, 1.2, 2, 1e9]) {
    const outliers = calibration.absmax.filter((a) =>
      a > ratio * Float32Array.from(calibration.absmax).sort()[40]
    ).length;
    const packed = outlierPermutation(calibration.absmax, { blockSize, ratio }).blockBits;
    assertEquals(count(packed), Math.ceil(outliers / blockSize));
    assertLessOrEqual(count(packed), count(mixedBlockBits(calibration.absmax, { blockSize, ratio })));
  }
});

Deno.test("the permutation is an identity of the layer", () => {
  const transform = outlierPermutationFinder({ blockSize }).find(layer, calibration);
  const output = product(transform.applyX(inputs), transform.applyW(weight));
  assertLess(relativeError(product(inputs, weight), output), 1e-6);
});

Deno.test("quantizeMixedBlocks() error of W4Ax lies between all 4 and all 8 bits", () => {
  const { blockBits } = outlierPermutation(calibration.absmax, { blockSize });
  const transform = outlierPermutationFinder({ blockSize }).find(layer, calibration);
  const x = transform.applyX(inputs);
  const w = transform.applyW(weight);
  const expected = product(inputs, weight);
  const error = (bits: Uint8Array<ArrayBuffer>) =>
    relativeError(expected, product(dequantizeMixedBlocks(quantizeMixedBlocks(x, bits, { blockSize })), w));
  const [four, mixed, eight] = [new Uint8Array(5).fill(4), blockBits, new Uint8Array(5).fill(8)].map(error);
  assertLess(mixed, four / 2);
  assertLess(eight, mixed);
  // Without packing, outliers spoil more 4-bit blocks.
  const natural = quantizeMixedBlocks(inputs, new Uint8Array(5).fill(4), { blockSize });
  assertLess(mixed, relativeError(expected, product(dequantizeMixedBlocks(natural), weight)));
});

Deno.test("quantizeMixedBlocks() stays within half a step, and zero rows stay zero", () => {
  const x = normalMatrix(5, 40, 1);
  x.data.fill(0, 0, 40);
  const bits = Uint8Array.of(4, 8, 4);
  const quantized = quantizeMixedBlocks(x, bits, { blockSize });
  const restored = dequantizeMixedBlocks(quantized);
  for (let i = 0; i < x.data.length; i++) {
    const step = quantized.scales[Math.floor(i / 40) * 3 + Math.floor((i % 40) / blockSize)];
    assertLessOrEqual(Math.abs(restored.data[i] - x.data[i]), step / 2 * 1.0001);
  }
  assert(restored.data.subarray(0, 40).every((value) => value === 0));
  assertThrows(() => quantizeMixedBlocks(x, Uint8Array.of(4), { blockSize }), RangeError, "3 blocks");
});

Deno.test("expandNibbles() gives 16 times the signed nibble", () => {
  const codes = Int8Array.from({ length: 16 }, (_, i) => i - 8);
  assertEquals(expandNibbles(pack(codes, 4)), codes.map((code) => 16 * code));
});

Deno.test("w4axProduct() equals the product of dequantized activations and weights", () => {
  const x = normalMatrix(6, 40, 2);
  const quantized = quantizeMixedBlocks(x, Uint8Array.of(8, 4, 4), { blockSize });
  const codes = Int8Array.from(
    normalMatrix(7, 40, 3).data,
    (v) => Math.max(-8, Math.min(7, Math.round(3 * v))),
  );
  const scales = normalMatrix(7, 3, 4).data.map(Math.abs);
  const dequantized: Matrix = createMatrix(
    7,
    40,
    Float32Array.from(
      codes,
      (code, i) => code * scales[Math.floor(i / 40) * 3 + Math.floor((i % 40) / blockSize)],
    ),
  );
  const actual = w4axProduct(quantized, { packed: pack(codes, 4), scales, rows: 7 });
  assertLess(relativeError(product(dequantizeMixedBlocks(quantized), dequantized), actual), 1e-6);
  const odd = quantizeMixedBlocks(normalMatrix(1, 3), Uint8Array.of(4));
  assertThrows(
    () => w4axProduct(odd, { packed: new Uint8Array(2), scales, rows: 1 }),
    RangeError,
    "Cannot multiply",
  );
});

Deno.test("mixedBlockActivations() keeps outlier columns of a split exact", () => {
  const quantize = mixedBlockActivations({ blockSize }).prepare(calibration);
  const output = quantize(inputs, Uint32Array.of(2, 17));
  for (let t = 0; t < inputs.rows; t++) {
    for (const column of [2, 17]) assertEquals(output.data[t * 80 + column], inputs.data[t * 80 + column]);
  }
  const plain = quantize(inputs, new Uint32Array(0));
  assertEquals(
    plain,
    dequantizeMixedBlocks(
      quantizeMixedBlocks(inputs, mixedBlockBits(calibration.absmax, { blockSize }), { blockSize }),
    ),
  );
});

Deno.test("quantizeMixedBlocks() of one width is plain activation quantization in groups", () => {
  for (const bits of [4, 8]) {
    const mixed = quantizeMixedBlocks(inputs, new Uint8Array(5).fill(bits), { blockSize });
    const plain = perTokenActivations({ bits, groupSize: blockSize }).prepare(calibration);
    assertLess(relativeError(plain(inputs, new Uint32Array(0)), dequantizeMixedBlocks(mixed)), 1e-6);
  }
});
