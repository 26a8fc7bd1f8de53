// Encoding by the upper 16 bits of a float32. They cut the floats into 65,536 buckets, each a run of neighboring values;
// an encoding that never falls is constant in nearly all of them and steps once in the rest. One word a bucket holds the
// code before the step, the code after it, and where in the bucket the step lies. Only `encode` is asked, so a user's own
// format gets the same speed; a format that steps twice inside one bucket has no table.
import type { EncodeOptions, NumberFormat } from "./number_format.ts";

/** Per bucket: bits 0-15 the last lower half before the step, bits 16-23 the code up to there, bits 24-31 the one after. */
type EncodeTable = Uint32Array<ArrayBuffer>;

const tables = new WeakMap<NumberFormat, Map<boolean | undefined, EncodeTable | undefined>>();

/** The table of a format, built on first use; `undefined` if it needs more than one step per bucket. */
export function encodeTableOf(format: NumberFormat, options?: EncodeOptions): EncodeTable | undefined {
  let perFormat = tables.get(format);
  if (perFormat === undefined) tables.set(format, perFormat = new Map());
  const key = options?.saturate;
  if (!perFormat.has(key)) perFormat.set(key, buildTable(format, options));
  return perFormat.get(key);
}

export function encodeByTable(
  bits: Uint32Array<ArrayBufferLike>,
  table: EncodeTable,
  codes: Uint8Array<ArrayBuffer>,
  start = 0,
  end = bits.length,
): Uint8Array<ArrayBuffer> {
  for (let i = start; i < end; i++) {
    const word = bits[i];
    const entry = table[word >>> 16];
    // The sign bit of the difference selects: 0 before the step, 8 after it.
    const after = (((entry & 0xffff) - (word & 0xffff)) >> 31) & 8;
    codes[i] = entry >>> (16 + after);
  }
  return codes;
}

const scratchBits = new Uint32Array(1);
const scratchValue = new Float32Array(scratchBits.buffer);

function buildTable(format: NumberFormat, options?: EncodeOptions): EncodeTable | undefined {
  const encode = (word: number): number => {
    scratchBits[0] = word;
    return format.encode(scratchValue[0], options);
  };
  const table: EncodeTable = new Uint32Array(65536);
  for (let bucket = 0; bucket < 65536; bucket++) {
    const start = bucket * 65536;
    const first = encode(start);
    const last = encode(start + 0xffff);
    let step = 0xffff;
    if (first !== last) {
      step = lastEqual(encode, start);
      if (encode(start + step + 1) !== last) return undefined;
    }
    table[bucket] = step | (first << 16) | (last << 24);
  }
  return table;
}

/** The largest lower half in the bucket whose code is that of the bucket's start. */
function lastEqual(encode: (word: number) => number, start: number): number {
  const code = encode(start);
  let low = 0;
  let high = 0xffff;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (encode(start + middle) === code) low = middle;
    else high = middle;
  }
  return low;
}
