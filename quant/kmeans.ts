// Weighted k-means in one dimension, solved exactly: sorted values split into k runs by dynamic programming. SqueezeLLM's
// codebooks (arXiv 2306.07629).
import type { FittedGrid, Grid } from "./grid.ts";
import { levelGrid } from "./level_grid.ts";
import { type SortedRuns, sortedRuns } from "./_sorted_runs.ts";
import { decodeArray, encodeArray, float16 } from "../formats/mod.ts";

/** Clusters of {@linkcode weightedKMeans1D}. */
export interface Clusters {
  /** Weighted means, ascending; repeated if there are fewer distinct values than clusters. */
  readonly centroids: Float64Array<ArrayBuffer>;
  /** Cluster of each value. */
  readonly labels: Uint16Array<ArrayBuffer>;
  /** `sum weight * (value - centroid)^2`. */
  readonly cost: number;
}

/**
 * Where the last of `clusters` runs starts, for every prefix. The best start moves right as the prefix grows, so the middle
 * prefix is solved over its range of starts and bounds those of both halves: O(n log n).
 */
function extend(previous: Float64Array, runs: SortedRuns): { costs: Float64Array; starts: Uint32Array } {
  const n = previous.length - 1;
  const costs = new Float64Array(n + 1), starts = new Uint32Array(n + 1);
  const solve = (from: number, to: number, lowest: number, highest: number): void => {
    if (from > to) return;
    const middle = (from + to) >>> 1;
    let best = Infinity, bestStart = lowest;
    for (let start = lowest; start <= Math.min(highest, middle); start++) {
      const cost = previous[start] + runs.cost(start, middle);
      if (cost < best) [best, bestStart] = [cost, start];
    }
    costs[middle] = best;
    starts[middle] = bestStart;
    solve(from, middle - 1, lowest, bestStart);
    solve(middle + 1, to, bestStart, highest);
  };
  solve(0, n, 0, n);
  return { costs, starts };
}

/**
 * The k centroids of least weighted squared error, exactly.
 *
 * @param values Finite numbers.
 * @param k Number of clusters, positive.
 * @param weights How much each value counts, not negative; equal when left out or all zero.
 * @returns Centroids, labels and cost.
 * @throws {RangeError} If there are no values or k is not positive.
 *
 * @example Usage
 * ```ts
 * import { weightedKMeans1D } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const { centroids, labels } = weightedKMeans1D([0, 10, 1, 11], 2);
 * assertEquals(centroids, Float64Array.of(0.5, 10.5));
 * assertEquals(labels, Uint16Array.of(0, 1, 0, 1));
 * ```
 */
export function weightedKMeans1D(
  values: ArrayLike<number>,
  k: number,
  weights?: ArrayLike<number>,
): Clusters {
  const n = values.length;
  if (n === 0 || !Number.isInteger(k) || k < 1) {
    throw new RangeError(`Cannot cluster ${n} values into ${k} clusters`);
  }
  const runs = sortedRuns(values, weights);
  let costs: Float64Array = Float64Array.from({ length: n + 1 }, (_, end) => runs.cost(0, end));
  const starts: Uint32Array[] = [new Uint32Array(n + 1)];
  for (let cluster = 1; cluster < k; cluster++) {
    const next = extend(costs, runs);
    costs = next.costs;
    starts.push(next.starts);
  }
  const centroids = new Float64Array(k), labels = new Uint16Array(n);
  for (let cluster = k - 1, end = n; cluster >= 0; cluster--) {
    const start = starts[cluster][end];
    // A run that weighs nothing repeats the centroid above it, so that the list stays ascending.
    centroids[cluster] = runs.mean(start, end) ?? centroids[cluster + 1] ?? runs.sorted[n - 1];
    for (let i = start; i < end; i++) labels[runs.order[i]] = cluster;
    end = start;
  }
  return { centroids, labels, cost: costs[n] };
}

/** A codebook of a group's own. */
export interface KMeansGridOptions {
  /** Bits of a code, 1 to 8: the codebook has `2^bits` levels of 16 bits. */
  readonly bits: number;
}

/**
 * A grid whose levels are the centroids of the group's weights, weighed by their importance: SqueezeLLM's.
 *
 * @param options Bits of a code.
 * @returns The grid. Its levels are values of float16.
 * @throws {RangeError} If bits are not 1 to 8.
 */
export function kMeansGrid({ bits }: KMeansGridOptions): Grid {
  if (!Number.isInteger(bits) || bits < 1 || bits > 8) {
    throw new RangeError(`Cannot make a codebook of ${bits} bits: it must have 1 to 8`);
  }
  return {
    name: `kmeans${bits}`,
    bits,
    groupBits: 16 * 2 ** bits,
    fit(values, importance): FittedGrid {
      const { centroids } = weightedKMeans1D(values, 2 ** bits, importance);
      return levelGrid(decodeArray(float16, encodeArray(float16, Float32Array.from(centroids))));
    },
  };
}
