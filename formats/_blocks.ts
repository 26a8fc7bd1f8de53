// Checks that every block format makes of its arguments.

/** The number of blocks that hold `count` values exactly. */
export function countBlocks(
  verb: string,
  count: number,
  format: { readonly name: string; readonly blockSize: number },
): number {
  const blocks = count / format.blockSize;
  if (!Number.isInteger(blocks) || blocks < 0) {
    throw new RangeError(
      `Cannot ${verb} ${count} values as ${format.name}: the count must be a multiple of ${format.blockSize}`,
    );
  }
  return blocks;
}

/** Throws unless there are exactly as many bytes as expected. */
export function checkBytes(
  bytes: Uint8Array<ArrayBufferLike>,
  expected: number,
  format: { readonly name: string; readonly count: number },
): void {
  if (bytes.length !== expected) {
    throw new RangeError(
      `Cannot dequantize ${format.count} values of ${format.name} from ${bytes.length} bytes: they take ${expected}`,
    );
  }
}
