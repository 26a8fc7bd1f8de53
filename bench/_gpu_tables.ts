// What the GPU benchmark measures, and what it must reach: plain data.
import type { CodebookLinearSpec, KernelSpec } from "../kernels/mod.ts";

/** Several ops that run one after the other, the later reading what the earlier wrote. */
export interface Measurement {
  /** Table it belongs to. */
  readonly table: "prefill" | "decode" | "few tokens";
  /** What it is, such as `QUIK W4A4 layer`. */
  readonly name: string;
  /** Tokens, output features, input features. */
  readonly shape: readonly [rows: number, columns: number, inner: number];
  /** Ops in order. Outputs of the first are the first inputs of the second. */
  readonly specs: readonly KernelSpec[];
  /** The ceiling it is held against. */
  readonly ceiling: string;
}

/** Shapes as [tokens, output features, input features]. */
export const PREFILL_SHAPES = [[2048, 4096, 4096], [2048, 11008, 4096], [2048, 8192, 8192]] as const;
/** Shapes as [output features, input features]. */
export const DECODE_SHAPES = [[4096, 4096], [11008, 4096], [8192, 8192], [28672, 8192]] as const;
/** Numbers of tokens between decoding and prefill, at one shape. */
export const FEW_TOKENS = [2, 4, 8, 16, 32, 64] as const;
/** Outlier columns of a QUIK layer. */
export const OUTLIERS = 256;

type Shape = readonly [number, number, number];

/** A QUIK layer: two ops for many tokens, one for a few. */
export function quikLayer([rows, columns, inner]: Shape, bits: 4 | 8, outliers = OUTLIERS): KernelSpec[] {
  return [
    { op: "quantize_activations", rows, columns: inner, outliers, bits },
    {
      op: "quik_linear",
      rows,
      columns,
      inner: inner - outliers,
      outliers,
      activationBits: bits,
      weightBits: bits,
      bias: false,
    },
  ];
}

/** A QUIK layer for a few tokens, in one op. */
export function quikDecode(shape: Shape, bits: 4 | 8, outliers = OUTLIERS): KernelSpec {
  return { ...quikLayer(shape, bits, outliers)[1], op: "quik_layer" } as KernelSpec;
}

function dense(
  [rows, columns, inner]: Shape,
  weightType: "float16" | "float32",
  allowFloat16: boolean,
): KernelSpec {
  return { op: "dense_linear", rows, columns, inner, weightType, bias: false, allowFloat16 };
}

/** As a float16 model has it: weight, input and result in float16. */
function allFloat16(shape: Shape): KernelSpec {
  return { ...dense(shape, "float16", true), inputType: "float16", resultType: "float16" } as KernelSpec;
}

function weightOnly(
  [rows, columns, inner]: Shape,
  levels: Pick<CodebookLinearSpec, "bits" | "groupSize" | "evenLevels">,
): KernelSpec {
  return {
    op: "codebook_linear",
    rows,
    columns,
    inner,
    scaleType: "float16",
    zeroPoint: false,
    bias: false,
    allowFloat16: true,
    ...levels,
  };
}

const INT4 = { bits: 4, groupSize: 128, evenLevels: true } as const;
const INT8 = { bits: 8, groupSize: 128, evenLevels: true } as const;
/** Sixteen levels to be looked up, in groups of 64 as QLoRA has them. Which levels they are does not matter to a lookup. */
const NF4 = { bits: 4, groupSize: 64 } as const;

/** Scales for every 128 codes on both sides. */
function grouped([rows, columns, inner]: Shape): KernelSpec {
  return {
    op: "grouped_linear",
    rows,
    columns,
    inner,
    groupSize: 128,
    activationBits: 4,
    weightBits: 4,
    bias: false,
  };
}

function integer([rows, columns, inner]: Shape, activationBits: 4 | 8, weightBits: 4 | 8): KernelSpec {
  return { op: "integer_matmul", rows, columns, inner, activationBits, weightBits };
}

/**
 * Everything that is measured.
 *
 * @param matrixUnits Whether the device has them: then they are the ceilings.
 * @param small Small shapes only, for a device that is slow.
 */
export function measurements(matrixUnits: boolean, small: boolean): Measurement[] {
  const prefill: readonly Shape[] = small ? [[64, 256, 256]] : PREFILL_SHAPES;
  const decode: readonly Shape[] = small
    ? [[1, 256, 256]]
    : DECODE_SHAPES.map(([columns, inner]) => [1, columns, inner]);
  const integerCeiling = matrixUnits ? "i8 matrix units" : "dot4I8Packed";
  const outliers = small ? 16 : OUTLIERS;
  const row = (
    table: Measurement["table"],
    name: string,
    shape: Shape,
    specs: readonly KernelSpec[],
    ceiling: string,
  ): Measurement => ({ table, name, shape, specs, ceiling });
  return [
    ...(small ? [] : [
      row(
        "prefill",
        "dense f32",
        [4096, 4096, 4096],
        [dense([4096, 4096, 4096], "float32", false)],
        "f32 multiply-add",
      ),
    ]),
    ...prefill.flatMap((shape) => [
      row("prefill", "integer W4A4", shape, [integer(shape, 4, 4)], integerCeiling),
      row("prefill", "integer W4A8", shape, [integer(shape, 8, 4)], integerCeiling),
      row("prefill", "integer W8A8", shape, [integer(shape, 8, 8)], integerCeiling),
      row("prefill", "W4A4, groups of 128", shape, [grouped(shape)], integerCeiling),
      matrixUnits
        ? row("prefill", "dense f16", shape, [allFloat16(shape)], "f16 matrix units")
        : row("prefill", "dense f32", shape, [dense(shape, "float32", false)], "f32 multiply-add"),
      row("prefill", "QUIK W4A4 layer", shape, quikLayer(shape, 4, outliers), integerCeiling),
      ...(matrixUnits
        ? [
          row("prefill", "W4A16", shape, [weightOnly(shape, INT4)], "f16 matrix units"),
          row("prefill", "W8A16", shape, [weightOnly(shape, INT8)], "f16 matrix units"),
        ]
        : []),
    ]),
    ...decode.flatMap((shape) => [
      row("decode", "dense f16", shape, [dense(shape, "float16", false)], "reading memory"),
      row("decode", "W4A16", shape, [weightOnly(shape, INT4)], "reading memory"),
      row("decode", "W8A16", shape, [weightOnly(shape, INT8)], "reading memory"),
      row("decode", "NF4", shape, [weightOnly(shape, NF4)], "reading memory"),
      row("decode", "QUIK W4A4 layer", shape, [quikDecode(shape, 4, outliers)], "reading memory"),
      row(
        "decode",
        "QUIK W4A4 product alone",
        shape,
        quikLayer(shape, 4, outliers).slice(1),
        "reading memory",
      ),
      row("decode", "W4A4, groups of 128", shape, [grouped(shape)], "reading memory"),
    ]),
    ...(small ? [] : FEW_TOKENS).flatMap((rows) => {
      const shape: Shape = [rows, 4096, 4096];
      return [
        row("few tokens", "dense f16", shape, [dense(shape, "float16", matrixUnits)], "reading memory"),
        row("few tokens", "W4A16", shape, [weightOnly(shape, INT4)], "reading memory"),
        row("few tokens", "NF4", shape, [weightOnly(shape, NF4)], "reading memory"),
        row("few tokens", "QUIK W4A4 layer", shape, [quikDecode(shape, 4, outliers)], "reading memory"),
        row("few tokens", "QUIK W8A8 layer", shape, [quikDecode(shape, 8, outliers)], "reading memory"),
      ];
    }),
  ];
}
