// The dense little-endian bit stream: code `i` in bits `i * bits` and up. Codes come and go as words of four bytes, which are
// squeezed or spread together; their number is a multiple of 32, so that the stream ends with a word.

export function packStream(
  codes: Uint32Array<ArrayBuffer>,
  bits: number,
  packed: Uint32Array<ArrayBuffer>,
): void {
  if (bits === 8) return packed.set(codes);
  const codeMask = (2 ** bits - 1) * 0x01010101;
  const gap = 8 - bits;
  const pair = 2 * bits;
  const quad = 4 * bits;
  let word = 0;
  let filled = 0;
  let o = 0;
  for (let i = 0; i < codes.length; i++) {
    const four = codes[i] & codeMask;
    const pairs = (four & 0x00ff00ff) | ((four & 0xff00ff00) >>> gap);
    const squeezed = (pairs & 0xffff) | ((pairs >>> 16) << pair);
    word |= squeezed << filled;
    filled += quad;
    if (filled >= 32) {
      packed[o++] = word;
      filled -= 32;
      word = filled === 0 ? 0 : (squeezed >>> (quad - filled)) | 0;
    }
  }
}

export function unpackStream(
  packed: Uint32Array<ArrayBuffer>,
  bits: number,
  codes: Uint32Array<ArrayBuffer>,
): void {
  if (bits === 8) return codes.set(packed);
  const gap = 8 - bits;
  const pair = 2 * bits;
  const quad = 4 * bits;
  const pairMask = 2 ** pair - 1;
  const quadMask = 2 ** quad - 1;
  const evenMask = (2 ** bits - 1) * 0x00010001;
  const oddMask = evenMask << bits;
  let word = 0;
  let left = 0;
  let o = 0;
  for (let i = 0; i < codes.length; i++) {
    let squeezed = word;
    if (left < quad) {
      const next = packed[o++];
      squeezed |= next << left;
      const used = quad - left;
      word = (next >>> used) | 0;
      left += 32;
    } else word = (word >>> quad) | 0;
    left -= quad;
    squeezed &= quadMask;
    const pairs = (squeezed & pairMask) | ((squeezed >>> pair) << 16);
    codes[i] = (pairs & evenMask) | ((pairs & oddMask) << gap);
  }
}
