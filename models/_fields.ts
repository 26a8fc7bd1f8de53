// Typed fields of a JSON object, with errors that name the file and the field.

/** A parsed JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Reads the fields of one JSON object. */
export class Fields {
  readonly #json: JsonObject;
  readonly #name: string;

  /** `name` is what error messages call the object. */
  constructor(json: unknown, name: string) {
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw new TypeError(`Cannot read ${name}: it is not a JSON object`);
    }
    this.#json = json as JsonObject;
    this.#name = name;
  }

  /** Whether the field is there and not null. */
  has(key: string): boolean {
    return this.#get(key) !== undefined;
  }

  /** A positive integer. */
  size(key: string, fallback?: number): number {
    const value = this.#get(key) ?? fallback;
    if (!Number.isSafeInteger(value) || (value as number) <= 0) this.fail(key, "a positive integer", value);
    return value as number;
  }

  /** A finite number above zero. */
  positive(key: string, fallback?: number): number {
    const value = this.#get(key) ?? fallback;
    if (!Number.isFinite(value) || (value as number) <= 0) this.fail(key, "a positive number", value);
    return value as number;
  }

  /** A boolean. */
  flag(key: string, fallback: boolean): boolean {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== "boolean") this.fail(key, "true or false", value);
    return value;
  }

  /** A string. */
  text(key: string, fallback?: string): string {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== "string") this.fail(key, "a string", value);
    return value;
  }

  /** One of the values of a table, by key. */
  choice<T>(key: string, choices: Readonly<Record<string, T>>, fallback?: string): T {
    const value = this.text(key, fallback);
    if (!Object.hasOwn(choices, value)) this.fail(key, `one of ${Object.keys(choices).join(", ")}`, value);
    return choices[value];
  }

  /** A token id or a list of them; absent is an empty list. */
  tokenIds(key: string): number[] {
    const value = this.#get(key) ?? [];
    const ids = Array.isArray(value) ? value : [value];
    if (!ids.every((id) => Number.isSafeInteger(id) && id >= 0)) this.fail(key, "token ids", value);
    return ids;
  }

  /** A nested object, or undefined. */
  object(key: string): Fields | undefined {
    const value = this.#get(key);
    return value === undefined ? undefined : new Fields(value, `${key} of ${this.#name}`);
  }

  /** The value as it stands, or undefined for absent and null. */
  raw(key: string): unknown {
    return this.#get(key);
  }

  /** Throws about a field that holds something else than it must. */
  fail(key: string, expected: string, value: unknown): never {
    const found = value === undefined ? "it is missing" : `it is ${JSON.stringify(value)}`;
    throw new TypeError(`Cannot read ${this.#name}: ${key} must be ${expected}, ${found}`);
  }

  #get(key: string): unknown {
    const value = Object.hasOwn(this.#json, key) ? this.#json[key] : undefined;
    return value === null ? undefined : value;
  }
}
