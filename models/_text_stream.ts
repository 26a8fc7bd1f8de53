// Text of tokens as they come. A token's text depends on its neighbours (spaces, characters of several tokens), so
// each piece is the difference that the token makes to the text of those shortly before it.
import type { Tokenizer } from "./tokenizer.ts";

/** What an unfinished character decodes to. */
const INCOMPLETE = "\ufffd";

/** A character has at most four bytes, hence at most four tokens; waiting longer is waiting for invalid bytes. */
const MAX_WAITING = 4;

/** Turns a stream of token ids into pieces of text. */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  #ids: number[] = [];
  /** Tokens before this one give context only. */
  #context = 0;
  /** Tokens before this one have been given out. */
  #given = 0;

  /** Begins after the given tokens, whose text is not given out again. */
  constructor(tokenizer: Tokenizer, before: ArrayLike<number>) {
    this.#tokenizer = tokenizer;
    this.#ids = Array.from(before).slice(-MAX_WAITING);
    this.#given = this.#ids.length;
  }

  /** The text that a token adds; empty while a character is unfinished, which the next piece then brings. */
  push(id: number): string {
    this.#ids.push(id);
    const before = this.#tokenizer.decode(this.#ids.slice(this.#context, this.#given));
    const after = this.#tokenizer.decode(this.#ids.slice(this.#context));
    const waiting = this.#ids.length - this.#given;
    if (after.endsWith(INCOMPLETE) && waiting < MAX_WAITING) return "";
    this.#context = this.#given;
    this.#given = this.#ids.length;
    return after.slice(before.length);
  }
}
