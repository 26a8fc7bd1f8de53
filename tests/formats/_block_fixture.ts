// Reads tests/fixtures/block_formats.json: outputs of the packages that own the block formats.

const fixture = JSON.parse(
  await Deno.readTextFile(new URL("../fixtures/block_formats.json", import.meta.url)),
);

/** A node of the fixture, by its keys. */
// deno-lint-ignore no-explicit-any
export function at(...keys: string[]): any {
  return keys.reduce((node, key) => node[key], fixture);
}

/** The bytes behind a key path. */
export function bytesAt(...keys: string[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(at(...keys)), (character) => character.charCodeAt(0));
}

/** The float32 values behind a key path. */
export function floatsAt(...keys: string[]): Float32Array<ArrayBuffer> {
  return new Float32Array(bytesAt(...keys).buffer);
}
