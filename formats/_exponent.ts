// The exponent of a double from its bits: `Math.log2` rounds, and is off by one next to powers of two.

const scratch = new Float64Array(1);
const scratchBits = new Uint32Array(scratch.buffer);
const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
const upperWord = isLittleEndian ? 1 : 0;

/** `floor(log2(|value|))` of a finite number that is not zero; -1023 for subnormal doubles. */
export function floorLog2(value: number): number {
  scratch[0] = value;
  return ((scratchBits[upperWord] >>> 20) & 0x7ff) - 1023;
}
