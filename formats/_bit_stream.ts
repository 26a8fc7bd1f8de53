// The dense little-endian bit stream under every packing: code `i` in bits `i * bits` and up, eight codes at a time.

export function packStream(
  codes: Uint8Array<ArrayBufferLike>,
  bits: number,
  packed: Uint8Array<ArrayBufferLike>,
): void {
  if (bits === 8) return packed.set(codes);
  const mask = 2 ** bits - 1;
  const groups = codes.length >>> 3;
  for (let group = 0; group < groups; group++) {
    const i = group * 8;
    const first = (codes[i] & mask) | ((codes[i + 1] & mask) << bits) |
      ((codes[i + 2] & mask) << (2 * bits)) | ((codes[i + 3] & mask) << (3 * bits));
    const second = (codes[i + 4] & mask) | ((codes[i + 5] & mask) << bits) |
      ((codes[i + 6] & mask) << (2 * bits)) | ((codes[i + 7] & mask) << (3 * bits));
    // 8 * bits bits in two words: each half is 4 * bits wide, at most 28.
    const low = first | (second << (4 * bits));
    const high = second >>> (32 - 4 * bits);
    const o = group * bits;
    for (let k = 0; k < bits && k < 4; k++) packed[o + k] = low >>> (8 * k);
    for (let k = 4; k < bits; k++) packed[o + k] = high >>> (8 * k - 32);
  }
  let position = groups * 8 * bits;
  for (let i = groups * 8; i < codes.length; i++, position += bits) {
    const shifted = (codes[i] & mask) << (position & 7);
    packed[position >>> 3] |= shifted;
    if (shifted > 255) packed[(position >>> 3) + 1] |= shifted >>> 8;
  }
}

export function unpackStream(
  packed: Uint8Array<ArrayBufferLike>,
  bits: number,
  codes: Uint8Array<ArrayBufferLike>,
): void {
  if (bits === 8) return codes.set(packed.subarray(0, codes.length));
  const mask = 2 ** bits - 1;
  const half = 4 * bits;
  const groups = codes.length >>> 3;
  for (let group = 0; group < groups; group++) {
    const o = group * bits;
    let low = packed[o];
    for (let k = 1; k < bits && k < 4; k++) low |= packed[o + k] << (8 * k);
    let high = 0;
    for (let k = 4; k < bits; k++) high |= packed[o + k] << (8 * k - 32);
    const second = (low >>> half) | (high << (32 - half));
    const i = group * 8;
    codes[i] = low & mask;
    codes[i + 1] = (low >>> bits) & mask;
    codes[i + 2] = (low >>> (2 * bits)) & mask;
    codes[i + 3] = (low >>> (3 * bits)) & mask;
    codes[i + 4] = second & mask;
    codes[i + 5] = (second >>> bits) & mask;
    codes[i + 6] = (second >>> (2 * bits)) & mask;
    codes[i + 7] = (second >>> (3 * bits)) & mask;
  }
  let position = groups * 8 * bits;
  for (let i = groups * 8; i < codes.length; i++, position += bits) {
    const byte = position >>> 3;
    codes[i] = ((packed[byte] | ((packed[byte + 1] ?? 0) << 8)) >>> (position & 7)) & mask;
  }
}
