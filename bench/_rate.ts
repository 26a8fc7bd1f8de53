// Benches that are also programs: under `deno bench` the work is timed by Deno, under `deno run` its rate is printed.

/** Takes the name of a piece of work, how many elements it covers, and the work. */
export type Reporter = (name: string, count: number, work: () => unknown) => void;

const RUNS = 60;

/**
 * Registers work with `Deno.bench`, or prints its best rate of several runs.
 *
 * @param isProgram `import.meta.main` of the bench: true under `deno run`, false under `deno bench`.
 */
export function createReporter(isProgram: boolean): Reporter {
  return (name, count, work) => {
    if (!isProgram) {
      Deno.bench(name, () => void work());
      return;
    }
    work();
    let best = Infinity;
    for (let run = 0; run < RUNS; run++) {
      const start = performance.now();
      work();
      best = Math.min(best, performance.now() - start);
    }
    console.log(`${name.padEnd(44)} ${(count / best / 1000).toFixed(0).padStart(6)} M/s`);
  };
}
