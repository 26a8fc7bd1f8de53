// Orders that place the codes of a whole 4-bit weight [outputs, inputs]: AutoAWQ's words and MARLIN's tiles. A word holds
// eight codes, item p in bits 4p and up. Both orders cut the weight into tiles that are all alike: `offsets` says where in
// the tile the codes of its words lie.

/** A 4-bit order of a weight: tiles of words. */
export interface MatrixOrder {
  /** Outputs in a tile; the weight has a multiple of them. */
  readonly tileOutputs: number;
  /** Inputs in a tile; the weight has a multiple of them. */
  readonly tileInputs: number;
  /** Output and input, within the tile, of every code: eight per word. */
  readonly codes: readonly { readonly output: number; readonly input: number }[];
  /** Where the words of the tile that begins at an output and input begin; they lie together. */
  firstWord(output: number, input: number, outputs: number): number;
}

/** Nibble p of a word is the output (AWQ) or the item (MARLIN) of this index among its eight. */
const INTERLEAVE = [0, 2, 4, 6, 1, 3, 5, 7];

/** AutoAWQ: words `[inputs, outputs / 8]`, each of eight neighboring outputs of one input. */
export const awqOrder: MatrixOrder = {
  tileOutputs: 8,
  tileInputs: 1,
  codes: INTERLEAVE.map((output) => ({ output, input: 0 })),
  firstWord: (output, input, outputs) => (input * outputs + output) / 8,
};

/**
 * MARLIN: words `[inputs / 16, outputs * 2]`, tiles of 16 inputs by 64 outputs. Thread by thread, each of four 16x16 tiles
 * gives one word: the two columns and four rows that the thread multiplies.
 */
export const marlinOrder: MatrixOrder = {
  tileOutputs: 64,
  tileInputs: 16,
  codes: marlinCodes(),
  firstWord: (output, input, outputs) => input / 16 * outputs * 2 + output * 2,
};

function marlinCodes(): { output: number; input: number }[] {
  const codes: { output: number; input: number }[] = [];
  for (let lane = 0; lane < 32; lane++) {
    const first = 2 * (lane % 4);
    for (let tile = 0; tile < 4; tile++) {
      const items = [0, 1].flatMap((half) =>
        [first, first + 1, first + 8, first + 9].map((input) => ({
          output: 16 * tile + Math.floor(lane / 4) + 8 * half,
          input,
        }))
      );
      codes.push(...INTERLEAVE.map((item) => items[item]));
    }
  }
  return codes;
}

/** Shape of a weight. */
export interface WeightShape {
  readonly outputs: number;
  readonly inputs: number;
}

export function packMatrix(
  codes: Uint8Array<ArrayBuffer>,
  shape: WeightShape,
  order: MatrixOrder,
): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(codes.length / 8);
  const offsets = offsetsOf(order, shape);
  forEachTile(order, shape, (word, base) => {
    for (let o = 0; o < offsets.length; o += 8, word++) {
      words[word] = (codes[base + offsets[o]] & 15) |
        ((codes[base + offsets[o + 1]] & 15) << 4) |
        ((codes[base + offsets[o + 2]] & 15) << 8) |
        ((codes[base + offsets[o + 3]] & 15) << 12) |
        ((codes[base + offsets[o + 4]] & 15) << 16) |
        ((codes[base + offsets[o + 5]] & 15) << 20) |
        ((codes[base + offsets[o + 6]] & 15) << 24) |
        (codes[base + offsets[o + 7]] << 28);
    }
  });
  return new Uint8Array(words.buffer);
}

export function unpackMatrix(
  packed: Uint8Array<ArrayBufferLike>,
  shape: WeightShape,
  order: MatrixOrder,
): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(packed.slice().buffer);
  const codes = new Uint8Array(words.length * 8);
  const offsets = offsetsOf(order, shape);
  forEachTile(order, shape, (word, base) => {
    for (let o = 0; o < offsets.length; o += 8, word++) {
      const value = words[word];
      for (let p = 0; p < 8; p++) codes[base + offsets[o + p]] = (value >>> (4 * p)) & 15;
    }
  });
  return codes;
}

/** Where the codes of a tile lie, counted from its first. */
function offsetsOf(order: MatrixOrder, shape: WeightShape): Int32Array<ArrayBuffer> {
  return Int32Array.from(order.codes, ({ output, input }) => output * shape.inputs + input);
}

/** Tiles that are visited together, so that the cache lines they share are still there. */
const TILES_DOWN = 16;
const TILES_ACROSS = 64;

function forEachTile(
  order: MatrixOrder,
  shape: WeightShape,
  visit: (firstWord: number, firstCode: number) => void,
): void {
  const { tileOutputs, tileInputs } = order;
  const { outputs, inputs } = shape;
  const blockOutputs = TILES_DOWN * tileOutputs;
  const blockInputs = TILES_ACROSS * tileInputs;
  for (let outputStart = 0; outputStart < outputs; outputStart += blockOutputs) {
    const outputEnd = Math.min(outputStart + blockOutputs, outputs);
    for (let inputStart = 0; inputStart < inputs; inputStart += blockInputs) {
      const inputEnd = Math.min(inputStart + blockInputs, inputs);
      for (let input = inputStart; input < inputEnd; input += tileInputs) {
        for (let output = outputStart; output < outputEnd; output += tileOutputs) {
          visit(order.firstWord(output, input, outputs), output * inputs + input);
        }
      }
    }
  }
}
