// The words in which the table of signatures is written.
import { float16RowBytes, type FloatType, type ResultOptions, type ScaleType } from "./specs.ts";

/** One buffer of an op: its role and the least number of bytes it must hold. */
export interface BufferRole {
  /** What the buffer is, such as `weight codes`. */
  readonly name: string;
  /** Least size in bytes. */
  readonly bytes: number;
}

/** The buffers of an op, in the order in which `dispatch` takes them. */
export interface KernelSignature {
  /** Buffers that are read. */
  readonly inputs: readonly BufferRole[];
  /** Buffers that are written. */
  readonly outputs: readonly BufferRole[];
}

/** Bytes of one value. */
export const FLOAT_BYTES: Readonly<Record<FloatType, number>> = { float32: 4, float16: 2, bfloat16: 2 };

/** Bytes of one scale. */
export const SCALE_BYTES: Readonly<Record<ScaleType, number>> = {
  float32: 4,
  float16: 2,
  float8E4M3: 1,
  float8E8M0: 1,
};

/** One buffer. */
export const role = (name: string, bytes: number): BufferRole => ({ name, bytes });

/** One buffer or none. */
export const optional = (present: boolean, name: string, bytes: number): BufferRole[] =>
  present ? [role(name, bytes)] : [];

/** Inputs, then one output or more. */
export const signature = (
  inputs: BufferRole[],
  output: BufferRole,
  ...more: BufferRole[]
): KernelSignature => ({ inputs, outputs: [output, ...more] });

/** The result of a product. */
export const result = (
  { rows, columns, resultType }: { readonly rows: number; readonly columns: number } & ResultOptions,
): BufferRole => role("y", rows * (resultType === "float16" ? float16RowBytes(columns) : columns * 4));
