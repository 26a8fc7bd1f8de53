// What a GGUF file holds: values of its metadata, tensors, and their types with the elements and bytes of a block.
// https://github.com/ggml-org/llama.cpp, ggml/include/ggml.h and ggml-common.h

/** A tensor type of GGUF, by ggml's name. */
export type GgufType =
  | "F32"
  | "F16"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q8_0"
  | "Q8_1"
  | "Q2_K"
  | "Q3_K"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K"
  | "Q8_K"
  | "IQ2_XXS"
  | "IQ2_XS"
  | "IQ3_XXS"
  | "IQ1_S"
  | "IQ4_NL"
  | "IQ3_S"
  | "IQ2_S"
  | "IQ4_XS"
  | "I8"
  | "I16"
  | "I32"
  | "I64"
  | "F64"
  | "IQ1_M"
  | "BF16"
  | "TQ1_0"
  | "TQ2_0"
  | "MXFP4"
  | "NVFP4";

/** Elements and bytes of a block. */
export interface GgufBlock {
  /** The number that stands in the file. */
  readonly id: number;
  /** Elements per block; 1 for plain types. */
  readonly blockSize: number;
  /** Bytes per block. */
  readonly blockBytes: number;
}

const block = (id: number, blockSize: number, blockBytes: number): GgufBlock => ({
  id,
  blockSize,
  blockBytes,
});

/** Every tensor type of GGUF that llama.cpp has not removed. */
export const GGUF_TYPES: Readonly<Record<GgufType, GgufBlock>> = {
  F32: block(0, 1, 4),
  F16: block(1, 1, 2),
  Q4_0: block(2, 32, 18),
  Q4_1: block(3, 32, 20),
  Q5_0: block(6, 32, 22),
  Q5_1: block(7, 32, 24),
  Q8_0: block(8, 32, 34),
  Q8_1: block(9, 32, 36),
  Q2_K: block(10, 256, 84),
  Q3_K: block(11, 256, 110),
  Q4_K: block(12, 256, 144),
  Q5_K: block(13, 256, 176),
  Q6_K: block(14, 256, 210),
  Q8_K: block(15, 256, 292),
  IQ2_XXS: block(16, 256, 66),
  IQ2_XS: block(17, 256, 74),
  IQ3_XXS: block(18, 256, 98),
  IQ1_S: block(19, 256, 50),
  IQ4_NL: block(20, 32, 18),
  IQ3_S: block(21, 256, 110),
  IQ2_S: block(22, 256, 82),
  IQ4_XS: block(23, 256, 136),
  I8: block(24, 1, 1),
  I16: block(25, 1, 2),
  I32: block(26, 1, 4),
  I64: block(27, 1, 8),
  F64: block(28, 1, 8),
  IQ1_M: block(29, 256, 56),
  BF16: block(30, 1, 2),
  TQ1_0: block(34, 256, 54),
  TQ2_0: block(35, 256, 66),
  MXFP4: block(39, 32, 17),
  NVFP4: block(40, 64, 36),
};

/** Types by the number that stands in the file. */
export const GGUF_TYPE_OF_ID: ReadonlyMap<number, GgufType> = new Map(
  Object.entries(GGUF_TYPES).map(([name, { id }]) => [id, name as GgufType]),
);

/** A value of the metadata; 64-bit integers are bigint. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

/** What is known of a tensor before its data are read. */
export interface GgufTensorInfo {
  /** Its name, such as `blk.0.attn_q.weight`. */
  readonly name: string;
  /** Type of its elements or blocks. */
  readonly type: GgufType;
  /** Dimensions, outermost first as everywhere in this library; the file has them the other way round. */
  readonly shape: readonly number[];
  /** Bytes of its data. */
  readonly byteLength: number;
}
