// A histogram over a range that grows by doubling, so that any stream of values can be counted in one pass.

/** Counts values in bins of equal width from `-limit` to `limit`. */
export interface Histogram {
  /** Counts finite values; NaN and infinity are left out. */
  add(values: Float32Array<ArrayBuffer>): void;
  /** The value below which a share of all counted ones lies, within the bin that holds it; 0 if nothing was counted. */
  quantile(share: number): number;
  /** Middle and count of every bin that holds something; the outermost ones moved to the extremes seen. */
  points(): { values: Float32Array<ArrayBuffer>; counts: Float64Array<ArrayBuffer> };
}

const DEFAULT_BINS = 2048;

export function createHistogram(bins = DEFAULT_BINS): Histogram {
  if (!Number.isInteger(Math.log2(bins)) || bins < 4) {
    throw new RangeError(
      `Cannot make a histogram of ${bins} bins: their number must be a power of two, at least 4`,
    );
  }
  let counts = new Float64Array(bins);
  let limit = 0;
  let min = Infinity;
  let max = -Infinity;
  let total = 0;

  /** Doubles the range: two neighbors become one, in the middle half of the bins. */
  function grow(): void {
    const merged = new Float64Array(bins);
    for (let i = 0; i < bins; i += 2) merged[bins / 4 + i / 2] = counts[i] + counts[i + 1];
    counts = merged;
    limit *= 2;
  }

  function binOf(value: number): number {
    return Math.min(Math.floor((value + limit) / (2 * limit) * bins), bins - 1);
  }

  return {
    add(values) {
      for (const value of values) {
        if (!Number.isFinite(value)) continue;
        const magnitude = Math.abs(value);
        if (limit === 0) limit = magnitude;
        while (magnitude > limit) grow();
        if (limit > 0) counts[binOf(value)]++;
        else counts[bins / 2]++;
        min = Math.min(min, value);
        max = Math.max(max, value);
        total++;
      }
    },
    quantile(share) {
      if (total === 0) return 0;
      const wanted = share * total;
      const width = 2 * limit / bins;
      let below = 0;
      for (let i = 0; i < bins; i++) {
        if (counts[i] > 0 && below + counts[i] >= wanted) {
          const value = -limit + width * (i + (wanted - below) / counts[i]);
          return Math.min(Math.max(value, min), max);
        }
        below += counts[i];
      }
      return max;
    },
    points() {
      const filled = Array.from(counts, (_, i) => i).filter((i) => counts[i] > 0);
      const width = 2 * limit / bins;
      const values = Float32Array.from(filled, (i) => -limit + width * (i + 0.5));
      if (values.length > 0) {
        values[values.length - 1] = max;
        values[0] = min;
      }
      return { values, counts: Float64Array.from(filled, (i) => counts[i]) };
    },
  };
}
