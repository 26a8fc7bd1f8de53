// Evenly spaced float32 numbers with the roundings of `torch.linspace`, which published tables carry.

/** `steps + 1` numbers from `start` to `end`, each counted from the nearer end in float32. */
export function linspace(start: number, end: number, steps: number): Float32Array<ArrayBuffer> {
  const first = Math.fround(start);
  const last = Math.fround(end);
  const step = Math.fround(Math.fround(last - first) / steps);
  return Float32Array.from(
    { length: steps + 1 },
    (_, i) => 2 * i <= steps ? first + step * i : last - step * (steps - i),
  );
}
