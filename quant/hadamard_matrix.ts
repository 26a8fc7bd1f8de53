// Hadamard matrices: square, entries -1 and 1, rows orthogonal. Built from number theory and from three stored rows.

/**
 * First rows of the four circulant blocks of Williamson's construction, by block size; the searches that found them are
 * classical (n = 13: Baumert and Hall 1965; 39 and 43: listed by Sloane). `+` is 1, `-` is -1.
 */
const WILLIAMSON_ROWS: Readonly<Record<number, readonly [string, string, string, string]>> = {
  13: ["++++-+--+-+++", "++---+--+---+", "++---+--+---+", "+---+-++-+---"],
  39: [
    "+++--+-+-----+--++----++--+-----+-+--++",
    "++++---+--++----+-+--+-+----++--+---+++",
    "+++--++-+---+-+--+----+--+-+---+-++--++",
    "+---++-+-+-----+++-++-+++-----+-+-++---",
  ],
  43: [
    "+---++--++++-+-+++-++--++-+++-+-++++--++---",
    "++-++++++----+-+--++-++-++--+-+----++++++-+",
    "+++-+-++--+-+-++++-+----+-++++-+-+--++-+-++",
    "++---++++-+--+--++--------++--+--+-++++---+",
  ],
};

/**
 * A Hadamard matrix, by the first of these that applies: Sylvester's doubling from 1, Paley I (`order - 1` a prime of the
 * form `4k + 3`), Paley II (`order / 2 - 1` a prime of the form `4k + 1`), Williamson's array for 52, 156 and 172, doubling
 * of a smaller one.
 *
 * @param order Rows and columns.
 * @returns `order * order` entries, row-major, each -1 or 1, or `undefined` if no construction here gives that order.
 */
export function hadamardMatrix(order: number): Int8Array<ArrayBuffer> | undefined {
  if (order === 1) return Int8Array.of(1);
  if (order === 2) return Int8Array.of(1, 1, 1, -1);
  if (!Number.isInteger(order) || order < 1 || order % 4 !== 0) return undefined;
  if (isPrime(order - 1)) return paleyOne(order);
  if (order % 8 === 4 && isPrime(order / 2 - 1)) return paleyTwo(order);
  if (order / 4 in WILLIAMSON_ROWS) return williamson(order);
  const half = hadamardMatrix(order / 2);
  return half && doubled(half, order / 2);
}

function isPrime(n: number): boolean {
  if (n < 2) return false;
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
  return true;
}

/** Entry `d` is 1 if `d` is a nonzero square modulo the prime, -1 if it is no square, 0 for 0. */
function legendreSymbols(prime: number): Int8Array {
  const symbols = new Int8Array(prime).fill(-1);
  symbols[0] = 0;
  for (let x = 1; x < prime; x++) symbols[(x * x) % prime] = 1;
  return symbols;
}

/** `[[1, 1...], [-1..., Q + I]]` with `Q[i, j]` the Legendre symbol of `j - i`. */
function paleyOne(order: number): Int8Array<ArrayBuffer> {
  const prime = order - 1;
  const symbols = legendreSymbols(prime);
  const result = new Int8Array(order * order);
  for (let j = 0; j < order; j++) result[j] = 1;
  for (let i = 0; i < prime; i++) {
    result[(i + 1) * order] = -1;
    for (let j = 0; j < prime; j++) {
      result[(i + 1) * order + j + 1] = i === j ? 1 : symbols[(j - i + prime) % prime];
    }
  }
  return result;
}

/** Each entry of the symmetric conference matrix `[[0, 1...], [1..., Q]]` becomes a 2x2 block. */
function paleyTwo(order: number): Int8Array<ArrayBuffer> {
  const prime = order / 2 - 1;
  const symbols = legendreSymbols(prime);
  const result = new Int8Array(order * order);
  for (let i = 0; i <= prime; i++) {
    for (let j = 0; j <= prime; j++) {
      const border = i === 0 || j === 0;
      const entry = i === j ? 0 : border ? 1 : symbols[(j - i + prime) % prime];
      const block = entry === 0 ? [1, -1, -1, -1] : [entry, entry, entry, -entry];
      for (let k = 0; k < 4; k++) result[(2 * i + (k >> 1)) * order + 2 * j + (k & 1)] = block[k];
    }
  }
  return result;
}

/** `[[A, B, C, D], [-B, A, -D, C], [-C, D, A, -B], [-D, -C, B, A]]` of circulant blocks. */
function williamson(order: number): Int8Array<ArrayBuffer> {
  const size = order / 4;
  const rows = WILLIAMSON_ROWS[size].map((row) => Array.from(row, (sign) => sign === "+" ? 1 : -1));
  const blocks = [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]];
  const signs = [[1, 1, 1, 1], [-1, 1, -1, 1], [-1, 1, 1, -1], [-1, -1, 1, 1]];
  const result = new Int8Array(order * order);
  for (let i = 0; i < order; i++) {
    for (let j = 0; j < order; j++) {
      const [bi, bj] = [Math.floor(i / size), Math.floor(j / size)];
      const shift = (j % size - i % size + size) % size;
      result[i * order + j] = signs[bi][bj] * rows[blocks[bi][bj]][shift];
    }
  }
  return result;
}

/** `[[H, H], [H, -H]]`. */
function doubled(half: Int8Array, size: number): Int8Array<ArrayBuffer> {
  const order = 2 * size;
  const result = new Int8Array(order * order);
  for (let i = 0; i < order; i++) {
    for (let j = 0; j < order; j++) {
      const sign = i >= size && j >= size ? -1 : 1;
      result[i * order + j] = sign * half[(i % size) * size + j % size];
    }
  }
  return result;
}
