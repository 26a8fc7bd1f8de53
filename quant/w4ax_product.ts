// The integer product of COMET (arXiv 2410.12168): int4 weights times activation blocks of 4 or 8 bits.
import type { MixedBlocks } from "./fmpq.ts";
import { createMatrix, type Matrix } from "./matrix.ts";

/** Int4 weights with one scale per output and block of inputs. */
export interface Int4Weights {
  /** Two codes per byte, low nibble first, row-major; the number of columns is even. */
  readonly packed: Uint8Array<ArrayBuffer>;
  /** `[outputs, blocks]`, blocks as those of the activations. */
  readonly scales: Float32Array<ArrayBuffer>;
  /** Outputs. */
  readonly rows: number;
}

/**
 * Reads signed nibbles as bytes of 16 times their value, without sign extension: `(nibble << 4)` as an int8.
 *
 * @param packed Two codes per byte, low nibble first.
 * @returns One int8 per code.
 */
export function expandNibbles(packed: Uint8Array): Int8Array<ArrayBuffer> {
  const result = new Int8Array(2 * packed.length);
  for (let i = 0; i < packed.length; i++) {
    result[2 * i] = packed[i] << 4;
    result[2 * i + 1] = packed[i] & 0xf0;
  }
  return result;
}

/**
 * `x * w^T` in integers: per block an exact int32 sum, multiplied by the scale of the token's block and of the output's
 * block; the factor 16 of the expanded nibbles is folded into the latter.
 *
 * @param input Quantized activations.
 * @param weight Int4 weights over the same blocks.
 * @returns `[tokens, outputs]`.
 * @throws {RangeError} If the columns are odd or the weights do not have them.
 */
export function w4axProduct(input: MixedBlocks, weight: Int4Weights): Matrix {
  const { codes, scales, blockSize, rows, cols } = input;
  if (cols % 2 !== 0 || weight.packed.length !== weight.rows * cols / 2) {
    throw new RangeError(
      `Cannot multiply ${cols} columns by ${weight.packed.length} bytes of int4 weights of ${weight.rows} rows`,
    );
  }
  const blocks = Math.ceil(cols / blockSize);
  const expanded = expandNibbles(weight.packed);
  const result = createMatrix(rows, weight.rows);
  for (let token = 0; token < rows; token++) {
    for (let output = 0; output < weight.rows; output++) {
      let sum = 0;
      for (let block = 0; block < blocks; block++) {
        const end = Math.min((block + 1) * blockSize, cols);
        let accumulator = 0;
        for (let k = block * blockSize; k < end; k++) {
          accumulator += codes[token * cols + k] * expanded[output * cols + k];
        }
        sum += accumulator * scales[token * blocks + block] * (weight.scales[output * blocks + block] / 16);
      }
      result.data[token * weight.rows + output] = sum;
    }
  }
  return result;
}
