// Orders that place the codes of a whole 4-bit weight [outputs, inputs]: AutoAWQ's words and MARLIN's tiles. Several codes of
// an output are read at once, and masks keep them apart. A word holds eight codes, item p in bits 4p and up.

/** Shape of a weight. */
export interface WeightShape {
  readonly outputs: number;
  readonly inputs: number;
}

/** A 4-bit order of a weight. */
export interface WeightOrder {
  /** The weight's outputs are a multiple of this. */
  readonly outputMultiple: number;
  /** The weight's inputs are a multiple of this. */
  readonly inputMultiple: number;
  pack(codes: Uint8Array<ArrayBuffer>, shape: WeightShape): Uint32Array<ArrayBuffer>;
  unpack(words: Uint32Array<ArrayBuffer>, shape: WeightShape): Uint8Array<ArrayBuffer>;
}

const LOW = 0x0f0f0f0f;

/** Four words of bytes `w[i][j]` to the word of column j: `w[0][j], w[1][j], w[2][j], w[3][j]`. */
function column(a: number, b: number, c: number, d: number, shift: number): number {
  return ((a >>> shift) & 255) | (((b >>> shift) & 255) << 8) | (((c >>> shift) & 255) << 16) |
    ((d >>> shift) << 24);
}

/** Outputs and inputs that are walked together, so that the cache lines they share are still there. */
const BLOCK_OUTPUTS = 128;
const BLOCK_INPUTS = 64;

/** Visits a weight in tiles, block by block. */
function forEachTile(
  { outputs, inputs }: WeightShape,
  tile: { readonly outputs: number; readonly inputs: number },
  visit: (output: number, input: number) => void,
): void {
  for (let outputStart = 0; outputStart < outputs; outputStart += BLOCK_OUTPUTS) {
    const outputEnd = Math.min(outputStart + BLOCK_OUTPUTS, outputs);
    for (let inputStart = 0; inputStart < inputs; inputStart += BLOCK_INPUTS) {
      const inputEnd = Math.min(inputStart + BLOCK_INPUTS, inputs);
      for (let input = inputStart; input < inputEnd; input += tile.inputs) {
        for (let output = outputStart; output < outputEnd; output += tile.outputs) visit(output, input);
      }
    }
  }
}

/** AutoAWQ: words `[inputs, outputs / 8]`, nibbles the outputs 0, 2, 4, 6, 1, 3, 5, 7 of eight neighbors. */
export const awqOrder: WeightOrder = {
  outputMultiple: 8,
  inputMultiple: 1,
  pack(codes, shape) {
    const { outputs, inputs } = shape;
    const row = Math.ceil(inputs / 4);
    const source = new Uint32Array(withRowLength(codes, inputs, 4 * row).buffer);
    const step = outputs / 8;
    const words = new Uint32Array(4 * row * step);
    forEachTile({ outputs, inputs: 4 * row }, { outputs: 8, inputs: 4 }, (output, input) => {
      const at = output * row + input / 4;
      const a = (source[at] & LOW) | ((source[at + 2 * row] & LOW) << 4);
      const b = (source[at + 4 * row] & LOW) | ((source[at + 6 * row] & LOW) << 4);
      const c = (source[at + row] & LOW) | ((source[at + 3 * row] & LOW) << 4);
      const d = (source[at + 5 * row] & LOW) | ((source[at + 7 * row] & LOW) << 4);
      const o = input * step + output / 8;
      words[o] = column(a, b, c, d, 0);
      words[o + step] = column(a, b, c, d, 8);
      words[o + 2 * step] = column(a, b, c, d, 16);
      words[o + 3 * step] = column(a, b, c, d, 24);
    });
    return inputs % 4 === 0 ? words : words.slice(0, inputs * step);
  },
  unpack(words, shape) {
    const { outputs, inputs } = shape;
    const row = Math.ceil(inputs / 4);
    const step = outputs / 8;
    const target = new Uint32Array(outputs * row);
    forEachTile({ outputs, inputs: 4 * row }, { outputs: 8, inputs: 4 }, (output, input) => {
      const o = input * step + output / 8;
      // Past the last input there are no words, and reading none gives zeros.
      const [w0, w1, w2, w3] = [words[o], words[o + step], words[o + 2 * step], words[o + 3 * step]];
      const at = output * row + input / 4;
      const a = column(w0, w1, w2, w3, 0);
      const b = column(w0, w1, w2, w3, 8);
      const c = column(w0, w1, w2, w3, 16);
      const d = column(w0, w1, w2, w3, 24);
      target[at] = a & LOW;
      target[at + row] = c & LOW;
      target[at + 2 * row] = (a >>> 4) & LOW;
      target[at + 3 * row] = (c >>> 4) & LOW;
      target[at + 4 * row] = b & LOW;
      target[at + 5 * row] = d & LOW;
      target[at + 6 * row] = (b >>> 4) & LOW;
      target[at + 7 * row] = (d >>> 4) & LOW;
    });
    return withRowLength(new Uint8Array(target.buffer), 4 * row, inputs);
  },
};

/** The rows of a matrix cut off or followed by zeros: itself where it has the length and is aligned to words. */
function withRowLength(
  bytes: Uint8Array<ArrayBuffer>,
  length: number,
  wanted: number,
): Uint8Array<ArrayBuffer> {
  if (length === wanted) return bytes.buffer.byteLength === bytes.length ? bytes : bytes.slice();
  const rows = bytes.length / length;
  const result = new Uint8Array(rows * wanted);
  const kept = Math.min(length, wanted);
  for (let row = 0; row < rows; row++) {
    result.set(bytes.subarray(row * length, row * length + kept), row * wanted);
  }
  return result;
}

/**
 * MARLIN: words `[inputs / 16, outputs * 2]`, tiles of 16 inputs by 64 outputs. Thread by thread, each of four 16x16 tiles
 * gives one word: inputs r, r + 8 of outputs n, n + 8, then inputs r + 1, r + 9 of the same, `r = 2 (thread mod 4)`.
 */
export const marlinOrder: WeightOrder = {
  outputMultiple: 64,
  inputMultiple: 16,
  pack(codes, shape) {
    const source = new Uint16Array(codes.buffer, codes.byteOffset, codes.length / 2);
    const words = new Uint32Array(codes.length / 8);
    forEachMarlinWord(shape, (word, upper, lower) => {
      const a = (source[upper] & 0x0f0f) | ((source[upper + 4] & 0x0f0f) << 4);
      const b = (source[lower] & 0x0f0f) | ((source[lower + 4] & 0x0f0f) << 4);
      words[word] = (a & 255) | ((b & 255) << 8) | ((a & 0xff00) << 8) | ((b & 0xff00) << 16);
    });
    return words;
  },
  unpack(words, shape) {
    const target = new Uint16Array(words.length * 4);
    forEachMarlinWord(shape, (word, upper, lower) => {
      const value = words[word];
      const a = (value & 255) | ((value >>> 8) & 0xff00);
      const b = ((value >>> 8) & 255) | ((value >>> 16) & 0xff00);
      target[upper] = a & 0x0f0f;
      target[upper + 4] = (a >>> 4) & 0x0f0f;
      target[lower] = b & 0x0f0f;
      target[lower + 4] = (b >>> 4) & 0x0f0f;
    });
    return new Uint8Array(target.buffer);
  },
};

/** Visits every word with the places of its inputs r, in pairs of codes, at outputs n and n + 8. */
function forEachMarlinWord(
  shape: WeightShape,
  visit: (word: number, upper: number, lower: number) => void,
): void {
  const row = shape.inputs / 2;
  forEachTile(shape, { outputs: 64, inputs: 16 }, (output, input) => {
    const first = output * row + input / 2;
    let word = input / 16 * shape.outputs * 2 + output * 2;
    for (let lane = 0; lane < 32; lane++) {
      const upper = first + (lane >>> 2) * row + (lane & 3);
      for (let tile = 0; tile < 4; tile++, word++) {
        visit(word, upper + 16 * tile * row, upper + (16 * tile + 8) * row);
      }
    }
  });
}
