// Benches of products that also print operations per second: Deno times the runs, and this keeps the best of them.

/** Operations of a product, and its best time in milliseconds. */
interface Entry {
  readonly operations: number;
  best: number;
}

const entries = new Map<string, Entry>();

/** How a product is registered. */
export interface ProductOptions {
  /** Products that are compared with each other. */
  readonly group: string;
  /** Operations of one run; a multiply-add is two. */
  readonly operations: number;
  /** Whether the others of the group are compared with this one. */
  readonly baseline?: boolean;
}

/** Registers a product with `Deno.bench`; the rates of all are printed when the benches are done. */
export function benchProduct(name: string, run: () => void, options: ProductOptions): void {
  const { group, operations, baseline } = options;
  if (entries.size === 0) globalThis.addEventListener("unload", print);
  const entry: Entry = { operations, best: Infinity };
  entries.set(name, entry);
  Deno.bench(name, { group, baseline }, () => {
    const start = performance.now();
    run();
    entry.best = Math.min(entry.best, performance.now() - start);
  });
}

function print(): void {
  for (const [name, { operations, best }] of entries) {
    if (best === Infinity) continue;
    console.log(
      `${name.padEnd(40)} ${best.toFixed(3).padStart(9)} ms ${
        (operations / best / 1e6).toFixed(1).padStart(7)
      } Gop/s`,
    );
  }
}
