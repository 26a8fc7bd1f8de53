// The nearest of a few levels for every one of many sorted values: runs of them share a level.
import type { SortedRuns } from "./_sorted_runs.ts";

/** Sorted values cut where the nearest level changes. */
export interface Assignment {
  /** Code of each run, by ascending level. */
  readonly codes: Uint8Array;
  /** First value of each run, and the number of values at the end. */
  readonly bounds: Uint32Array;
  /** Weighted squared error. */
  readonly error: number;
}

/** Gives each value its nearest level. */
export function assignLevels(runs: SortedRuns, levels: ArrayLike<number>): Assignment {
  const codes = Uint8Array.from({ length: levels.length }, (_, code) => code);
  codes.sort((a, b) => levels[a] - levels[b] || a - b);
  const bounds = new Uint32Array(levels.length + 1);
  bounds[levels.length] = runs.length;
  let error = 0;
  for (let i = 0; i < levels.length; i++) {
    const level = levels[codes[i]];
    if (i + 1 < levels.length) bounds[i + 1] = runs.countBelow((level + levels[codes[i + 1]]) / 2);
    error += runs.distance(bounds[i], bounds[i + 1], level);
  }
  return { codes, bounds, error };
}
