// Benches that print values a second, under `deno bench` and as programs.

/** Takes the name of a piece of work, how many elements it covers, and the work. */
export type Reporter = (name: string, count: number, work: () => unknown) => void;

const RUNS = 60;

/**
 * Prints the best rate of several runs of each piece of work; under `deno bench` also registers it, and prints to standard
 * error, so that `--json` stays clean.
 *
 * @param isProgram `import.meta.main` of the bench: true under `deno run`, false under `deno bench`.
 */
export function createReporter(isProgram: boolean): Reporter {
  const print = isProgram ? console.log : console.error;
  return (name, count, work) => {
    if (!isProgram) Deno.bench(name, () => void work());
    work();
    let best = Infinity;
    for (let run = 0; run < RUNS; run++) {
      const start = performance.now();
      work();
      best = Math.min(best, performance.now() - start);
    }
    print(`${name.padEnd(44)} ${(count / best / 1000).toFixed(0).padStart(6)} M/s`);
  };
}
