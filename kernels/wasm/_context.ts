// What an op's plan works with: addresses in WebAssembly memory, temporary areas, and a way to run a kernel over
// its units.
import type { KernelFunction } from "./_module.ts";

/** A buffer as kernels see it. */
export interface Region {
  /** Address in WebAssembly memory. */
  readonly address: number;
  /** Usable size in bytes. */
  readonly byteLength: number;
}

/** How a kernel's work divides. */
export interface Work {
  /** Number of units. */
  readonly units: number;
  /** Approximate time of one unit, in operations of a float product (40 per nanosecond): threads are used only where a
   * share is worth waking one. */
  readonly cost: number;
  /** Bytes of scratch that each thread needs. */
  readonly scratch?: number;
}

/** What an op may do while it runs. */
export interface Context {
  /** The kernels, for their size functions. */
  readonly exports: Readonly<Record<string, KernelFunction>>;
  /** Whether the dot product takes unsigned operands of 8 bits. */
  readonly dotTakesBytes: boolean;
  /** Runs a kernel over all its units, on as many threads as pay. */
  run(kernel: string, work: Work, args: readonly number[]): void;
  /** A temporary area that lives until the op ends. Returns its address. */
  temporary(byteLength: number): number;
  /** Indices in memory. */
  indices(region: Region, count: number): Uint32Array;
  /** Floats in memory. */
  floats(address: number, count: number): Float32Array;
  /** Sets bytes of memory. */
  fill(address: number, value: number, byteLength: number): void;
  /** Writes a structure of 32-bit integers into memory. */
  writeIntegers(address: number, values: ArrayLike<number>): void;
}

/** The largest of some indices, checked against a limit.
 * @throws {RangeError} If one is out of range. */
export function checkIndices(indices: Uint32Array, limit: number, what: string): number {
  let highest = 0;
  for (let i = 0; i < indices.length; i++) if (indices[i] > highest) highest = indices[i];
  if (indices.length > 0 && highest >= limit) {
    throw new RangeError(`Cannot use ${what} ${highest}: it must be below ${limit}`);
  }
  return highest;
}
