// Typed views of a buffer's bytes, and the storage types that ops read: what every reference op starts with.
import { bfloat16, decodeArray, defineFloat, float16 } from "../../formats/mod.ts";
import type { FloatType, ScaleType } from "../specs.ts";

const float8E4M3 = defineFloat({ exponentBits: 4, mantissaBits: 3, specials: "finite-nan" });

/** The bytes of one buffer on the reference backend. */
export type Bytes = ArrayBuffer;

/** A reference op: plain loops from input bytes to output bytes. */
export type ReferenceOp<Spec> = (spec: Spec, inputs: readonly Bytes[], outputs: readonly Bytes[]) => void;

/** `count` float32 values from the start of a buffer. */
export function floats(bytes: Bytes, count: number): Float32Array<ArrayBuffer> {
  return new Float32Array(bytes, 0, count);
}

/** `count` unsigned 32-bit indices from the start of a buffer. */
export function indices(bytes: Bytes, count: number): Uint32Array<ArrayBuffer> {
  return new Uint32Array(bytes, 0, count);
}

/** `count` floats of any storage type, as float32. */
export function decodeFloats(
  bytes: Bytes,
  type: FloatType | ScaleType,
  count: number,
): Float32Array<ArrayBuffer> {
  switch (type) {
    case "float32":
      return floats(bytes, count);
    case "float16":
      return decodeArray(float16, new Uint16Array(bytes, 0, count));
    case "bfloat16":
      return decodeArray(bfloat16, new Uint16Array(bytes, 0, count));
    case "float8E4M3":
      return decodeArray(float8E4M3, new Uint8Array(bytes, 0, count));
    case "float8E8M0":
      return Float32Array.from(new Uint8Array(bytes, 0, count), (code) => 2 ** (code - 127));
  }
}
