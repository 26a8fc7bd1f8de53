// Bulk encoding of float32 bit patterns as float16 and bfloat16, round to nearest even, by integer arithmetic.

/** Adding and subtracting it rounds a double below 2^51 to an integer, ties to even. */
const ROUND_MAGIC = 6755399441055744;

export function encodeFloat16(
  bits: Uint32Array<ArrayBufferLike>,
  saturate: boolean,
): Uint16Array<ArrayBuffer> {
  const values = new Float32Array(bits.buffer, bits.byteOffset, bits.length);
  const codes = new Uint16Array(bits.length);
  const overflow = saturate ? 0x7bff : 0x7c00;
  for (let i = 0; i < codes.length; i++) {
    const word = bits[i];
    const sign = (word >>> 16) & 0x8000;
    const magnitude = word & 0x7fffffff;
    if (magnitude >= 0x38800000 && magnitude < 0x477ff000) {
      // Normal and below 65520: rebias the exponent, round off 13 bits; a carry moves into the exponent as it should.
      codes[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    } else if (magnitude < 0x38800000) {
      // Subnormal: an integer number of steps of 2^-24.
      codes[i] = sign | (Math.abs(values[i]) * 16777216 + ROUND_MAGIC - ROUND_MAGIC);
    } else if (magnitude < 0x7f800000) codes[i] = sign | overflow;
    else codes[i] = magnitude === 0x7f800000 ? sign | 0x7c00 : 0x7e00;
  }
  return codes;
}

export function encodeBfloat16(
  bits: Uint32Array<ArrayBufferLike>,
  saturate: boolean,
): Uint16Array<ArrayBuffer> {
  const codes = new Uint16Array(bits.length);
  for (let i = 0; i < codes.length; i++) {
    const word = bits[i];
    const magnitude = word & 0x7fffffff;
    if (magnitude < 0x7f7f8000 || magnitude === 0x7f800000) {
      codes[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
    } else if (magnitude < 0x7f800000) codes[i] = ((word >>> 16) & 0x8000) | (saturate ? 0x7f7f : 0x7f80);
    else codes[i] = 0x7fc0;
  }
  return codes;
}
