// Memory of the WebAssembly instance, handed out in pieces: first fit over a free list, neighbours merged.

/** Every piece starts at a multiple of this and is padded to one, so that kernels may load whole vectors. */
const ALIGNMENT = 64;
const PAGE = 65536;
/** Bytes at the end of memory that are never handed out: kernels may load up to one vector past a buffer. */
const RESERVE = 64;

/** Largest WebAssembly memory with 32-bit addresses, in pages. */
export const MAX_PAGES = 65536;

interface Range {
  start: number;
  end: number;
}

/** Hands out pieces of a WebAssembly memory from `start` on, growing it as needed. */
export class Heap {
  readonly #memory: WebAssembly.Memory;
  #free: Range[] = [];
  #end: number;

  constructor(memory: WebAssembly.Memory, start: number) {
    this.#memory = memory;
    this.#end = memory.buffer.byteLength - RESERVE;
    this.#free.push({ start, end: this.#end });
  }

  /** Takes at least `byteLength` bytes. Returns their address.
   * @throws {RangeError} If the memory cannot grow that far. */
  allocate(byteLength: number): number {
    const size = paddedSize(byteLength);
    let i = this.#free.findIndex((range) => range.end - range.start >= size);
    if (i < 0) {
      this.#grow(size);
      i = this.#free.length - 1;
    }
    const range = this.#free[i];
    const address = range.start;
    range.start += size;
    if (range.start === range.end) this.#free.splice(i, 1);
    return address;
  }

  /** Gives back what `allocate(byteLength)` returned. */
  release(address: number, byteLength: number): void {
    const range = { start: address, end: address + paddedSize(byteLength) };
    let i = this.#free.findIndex((other) => other.start > address);
    if (i < 0) i = this.#free.length;
    this.#free.splice(i, 0, range);
    this.#merge(i);
    if (i > 0) this.#merge(i - 1);
  }

  /** Joins the free range `i` with the next one where they touch. */
  #merge(i: number): void {
    const next = this.#free[i + 1];
    if (next === undefined || this.#free[i].end !== next.start) return;
    this.#free[i].end = next.end;
    this.#free.splice(i + 1, 1);
  }

  /** Makes the last free range at least `size` bytes long. */
  #grow(size: number): void {
    const last = this.#free.at(-1);
    const tail = last?.end === this.#end ? last.end - last.start : 0;
    const pages = Math.ceil((size - tail) / PAGE);
    const current = this.#memory.buffer.byteLength / PAGE;
    if (current + pages > MAX_PAGES) {
      throw new RangeError(`Cannot allocate ${size} bytes: WebAssembly memory ends at 4 GiB`);
    }
    // A quarter more than asked, so that many small buffers do not grow the memory one by one.
    this.#memory.grow(Math.min(pages + (current >> 2), MAX_PAGES - current));
    const end = this.#memory.buffer.byteLength - RESERVE;
    if (tail > 0) last!.end = end;
    else this.#free.push({ start: this.#end, end });
    this.#end = end;
  }
}

function paddedSize(byteLength: number): number {
  return Math.max(Math.ceil(byteLength / ALIGNMENT), 1) * ALIGNMENT;
}
