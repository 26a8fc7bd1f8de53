// Decoding weights that are codes into a table of levels, with a scale and perhaps a zero point per group.
import { half4 } from "./simd";

/** A weight as the host describes it in memory. */
@unmanaged
export class CodebookWeight {
  codes: usize;
  table: usize;
  scales: usize;
  /** 0 for none. */
  zeros: usize;
  bits: i32;
  groupSize: i32;
  groups: i32;
  /** Bytes of a packed row. */
  stride: i32;
  scaleType: i32;
}

/** Scale types as the host numbers them: float32, float16, float8E4M3, float8E8M0. */
function scaleAt(scales: usize, scaleType: i32, i: usize): f32 {
  if (scaleType == 0) return load<f32>(scales + 4 * i);
  if (scaleType == 1) return f32x4.extract_lane(half4(i32x4.splat(load<u16>(scales + 2 * i))), 0);
  const byte = <u32> load<u8>(scales + i);
  if (scaleType == 3) {
    if (byte == 255) return f32.NaN;
    return reinterpret<f32>(byte == 0 ? 0x00400000 : byte << 23);
  }
  if ((byte & 0x7f) == 0x7f) return f32.NaN;
  // 2^120 lifts the exponent bias of 7 to 127.
  const size = reinterpret<f32>((byte & 0x7f) << 20) * reinterpret<f32>(0x7b800000);
  return byte & 0x80 ? -size : size;
}

/** Decodes `count` weights of one column from `k` on (a multiple of 8) into float32 `dst`. */
export function codebookRow(dst: usize, weight: CodebookWeight, column: i32, k: i32, count: i32): void {
  const row = weight.codes + weight.stride * column;
  const table = weight.table;
  const bits = weight.bits;
  const end = k + count;
  while (k < end) {
    const group = k / weight.groupSize;
    const stop = min(end, (group + 1) * weight.groupSize);
    const at = column * weight.groups + group;
    const scale = scaleAt(weight.scales, weight.scaleType, at);
    const zero: f32 = weight.zeros ? load<f32>(weight.zeros + 4 * at) : 0;
    for (; k < stop; k++) {
      store<f32>(dst, (load<f32>(table + 4 * codeAt(row, k, bits)) - zero) * scale);
      dst += 4;
    }
  }
}

// @ts-ignore: decorator
@inline
function codeAt(row: usize, k: i32, bits: i32): u32 {
  if (bits == 8) return load<u8>(row + k);
  if (bits == 4) return (load<u8>(row + (k >> 1)) >> <u8> ((k & 1) << 2)) & 15;
  if (bits == 2) return (load<u8>(row + (k >> 2)) >> <u8> ((k & 3) << 1)) & 3;
  const bit = k * 3;
  // A code that ends in the last byte of its row does not need the next one: the shift leaves nothing of it.
  return (<u32> load<u16>(row + (bit >> 3)) >> (bit & 7)) & 7;
}
