// JSON as hostile files must be read: duplicate keys are an error (`JSON.parse` silently keeps the last), nesting is
// bounded, and objects become maps, so that a tensor may be called `__proto__`.

/** A parsed JSON value, with objects as maps. */
export type StrictJson = null | boolean | number | string | StrictJson[] | Map<string, StrictJson>;

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const SPACE = /[ \t\n\r]*/y;

/**
 * Parses JSON strictly.
 *
 * @param text The JSON text.
 * @param options `maxDepth`: deepest nesting of arrays and objects, 16 unless told otherwise.
 * @returns The value.
 * @throws {SyntaxError} If the text is not JSON, repeats a key or nests too deeply.
 */
export function parseStrictJson(text: string, options: { readonly maxDepth?: number } = {}): StrictJson {
  const parser = new Parser(text, options.maxDepth ?? 16);
  const value = parser.value(0);
  parser.end();
  return value;
}

class Parser {
  #at = 0;
  readonly #text: string;
  readonly #maxDepth: number;

  constructor(text: string, maxDepth: number) {
    this.#text = text;
    this.#maxDepth = maxDepth;
  }

  value(depth: number): StrictJson {
    this.#skipSpace();
    const first = this.#text[this.#at];
    if (first === "{") return this.#object(depth + 1);
    if (first === "[") return this.#array(depth + 1);
    if (first === '"') return this.#string();
    for (const [word, value] of [["true", true], ["false", false], ["null", null]] as const) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    const number = this.#match(NUMBER);
    if (number === undefined || number === "") this.#fail("expected a value");
    return Number(number);
  }

  end(): void {
    this.#skipSpace();
    if (this.#at < this.#text.length) this.#fail("unexpected text after the value");
  }

  #object(depth: number): Map<string, StrictJson> {
    this.#enter(depth);
    const entries = new Map<string, StrictJson>();
    if (this.#take("}")) return entries;
    do {
      this.#skipSpace();
      const key = this.#string();
      if (entries.has(key)) this.#fail(`duplicate key ${JSON.stringify(key)}`);
      this.#expect(":");
      entries.set(key, this.value(depth));
    } while (this.#take(","));
    this.#expect("}");
    return entries;
  }

  #array(depth: number): StrictJson[] {
    this.#enter(depth);
    const items: StrictJson[] = [];
    if (this.#take("]")) return items;
    do items.push(this.value(depth)); while (this.#take(","));
    this.#expect("]");
    return items;
  }

  #string(): string {
    if (this.#text[this.#at] !== '"') this.#fail("expected a string");
    let end = this.#at + 1;
    while (end < this.#text.length && this.#text[end] !== '"') end += this.#text[end] === "\\" ? 2 : 1;
    try {
      const value: string = JSON.parse(this.#text.slice(this.#at, end + 1));
      this.#at = end + 1;
      return value;
    } catch {
      this.#fail("malformed string");
    }
  }

  #enter(depth: number): void {
    if (depth > this.#maxDepth) this.#fail(`nested deeper than ${this.#maxDepth} levels`);
    this.#at++;
  }

  #take(mark: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== mark) return false;
    this.#at++;
    return true;
  }

  #expect(mark: string): void {
    if (!this.#take(mark)) this.#fail(`expected "${mark}"`);
  }

  #skipSpace(): void {
    this.#match(SPACE);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (!found) return undefined;
    this.#at += found[0].length;
    return found[0];
  }

  #fail(problem: string): never {
    throw new SyntaxError(`${problem} at character ${this.#at}`);
  }
}
