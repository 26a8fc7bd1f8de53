// How rows in storage become slabs of a tile for subgroup matrices. A block of k is loaded in four quarters, each of which
// gives eight bytes to every slab: the order of k within a block is free as long as both sides share it.
import type { CodeBits } from "../specs.ts";
import { SPREAD_NIBBLES } from "./_operands.ts";
import type { MatrixOperand } from "./_matrix_phase.ts";

/** A binding of rows, each padded to 16 bytes. */
export interface MatrixRows {
  /** Name of the binding. */
  readonly buffer: string;
  /** Bytes from one row to the next, a multiple of 16. */
  readonly rowBytes: number;
  /** WGSL expression for the number of rows where a tile may reach beyond them. */
  readonly rows?: string;
}

/** An operand of rows, given what a quarter loads, the slabs that a block becomes, and what a quarter gives to one. */
function rowsOf(
  { buffer, rowBytes, rows }: MatrixRows,
  load: "vec4<u32>" | "vec2<u32>",
  slabs: number,
  pair: MatrixOperand["pair"],
): MatrixOperand {
  return { buffer, rows, load, stride: rowBytes / (load === "vec4<u32>" ? 16 : 8), slabs, pair };
}

/** Rows that are multiplied as they lie: int8 or float16. */
export function wholeRows(source: MatrixRows): MatrixOperand {
  return rowsOf(source, "vec4<u32>", 2, (loaded, slab) => `${loaded}.${["xy", "zw"][slab]}`);
}

/**
 * Rows of packed signed codes. A nibble is moved to the high half of a byte, so it counts 16 times (`codeShift`).
 *
 * @param source The binding.
 * @param bits Bits of a code.
 * @param otherBits Bits of a code of the other side.
 * @param short Whether blocks of 64 codes are wanted where those of 128 would be read in larger parts.
 */
export function codeRows(
  source: MatrixRows,
  bits: CodeBits,
  otherBits: CodeBits,
  short = false,
): MatrixOperand {
  if (bits === 8) return wholeRows(source);
  if (otherBits === 8) return spreadNibbles(source);
  return short ? splitNibbles(source, "vec2<u32>", 2) : splitNibbles(source, "vec4<u32>", 4);
}

/** WGSL functions that the operands of `codeRows` call. */
export function codeFunctions(bits: CodeBits, otherBits: CodeBits): string {
  return bits !== otherBits ? SPREAD_NIBBLES : "";
}

/** Even codes of a word, then its odd ones: cheaper than keeping their order. */
function splitNibbles(source: MatrixRows, load: "vec4<u32>" | "vec2<u32>", words: number): MatrixOperand {
  return rowsOf(source, load, words, (loaded, slab) => {
    const word = `${loaded}.${"xyzw"[slab]}`;
    return `vec2<u32>((${word} << 4u) & 0xf0f0f0f0u, ${word} & 0xf0f0f0f0u)`;
  });
}

/** Codes in their order, as those of eight bits lie on the other side. */
function spreadNibbles(source: MatrixRows): MatrixOperand {
  return rowsOf(source, "vec2<u32>", 2, (loaded, slab) => {
    const word = `${loaded}.${"xy"[slab]}`;
    return `vec2<u32>(spread_nibbles(${word} & 0xffffu), spread_nibbles(${word} >> 16u))`;
  });
}
