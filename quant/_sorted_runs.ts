// Sorted values with prefix sums, so that the weighted error of any run of neighbours costs O(1): what clustering and
// binary coding are made of.

/** Values in ascending order and the weighted moments of their prefixes. */
export class SortedRuns {
  /** The values, ascending. */
  readonly sorted: Float64Array<ArrayBuffer>;
  readonly #weight: Float64Array;
  readonly #first: Float64Array;
  readonly #second: Float64Array;

  /** `order` sorts the values; weights are in their original order. */
  constructor(values: ArrayLike<number>, weights: (i: number) => number, readonly order: Uint32Array) {
    const n = values.length;
    this.sorted = new Float64Array(n);
    this.#weight = new Float64Array(n + 1);
    this.#first = new Float64Array(n + 1);
    this.#second = new Float64Array(n + 1);
    for (let i = 0; i < n; i++) {
      const value = values[order[i]], weight = weights(order[i]);
      this.sorted[i] = value;
      this.#weight[i + 1] = this.#weight[i] + weight;
      this.#first[i + 1] = this.#first[i] + weight * value;
      this.#second[i + 1] = this.#second[i] + weight * value * value;
    }
  }

  /** Number of values. */
  get length(): number {
    return this.sorted.length;
  }

  /** Sum of the weights of values `start` to `end`. */
  weight(start: number, end: number): number {
    return this.#weight[end] - this.#weight[start];
  }

  /** Sum of weight times value. */
  first(start: number, end: number): number {
    return this.#first[end] - this.#first[start];
  }

  /** Weighted mean, none if they weigh nothing. */
  mean(start: number, end: number): number | undefined {
    const weight = this.weight(start, end);
    return weight > 0 ? this.first(start, end) / weight : undefined;
  }

  /** Weighted squared distance from their mean. */
  cost(start: number, end: number): number {
    const weight = this.weight(start, end);
    if (!(weight > 0)) return 0;
    const first = this.first(start, end);
    return Math.max(0, this.#second[end] - this.#second[start] - first * first / weight);
  }

  /** Weighted squared distance from a level. */
  distance(start: number, end: number, level: number): number {
    const second = this.#second[end] - this.#second[start];
    return Math.max(0, second - level * (2 * this.first(start, end) - level * this.weight(start, end)));
  }

  /** Number of values at or below a bound. */
  countBelow(bound: number): number {
    let low = 0, high = this.sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.sorted[middle] <= bound) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Sorts values; weights that are absent or all zero count as equal. */
export function sortedRuns(values: ArrayLike<number>, weights?: ArrayLike<number>): SortedRuns {
  const n = values.length;
  let total = 0;
  for (let i = 0; weights && i < n; i++) total += weights[i];
  const order = Uint32Array.from({ length: n }, (_, i) => i).sort((a, b) => values[a] - values[b] || a - b);
  return new SortedRuns(values, total > 0 ? (i) => weights![i] : () => 1, order);
}
