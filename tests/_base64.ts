// Arrays that the fixtures of other packages hold as base64 of little-endian bytes.

/** The bytes of a base64 string. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

/** The float32 values of a base64 string. */
export function floatsOf(text: string): Float32Array<ArrayBuffer> {
  return new Float32Array(bytesOf(text).buffer);
}
