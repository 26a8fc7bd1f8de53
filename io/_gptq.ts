// GPTQ checkpoints (AutoGPTQ, GPTQModel):
//
//   NAME.qweight I32 [inputs * bits / 32, outputs]            codes packed down the inputs
//   NAME.qzeros  I32 [groups, outputs * bits / 32]            zero points packed along the outputs, less one in version 1
//   NAME.scales  F16 [groups, outputs]
//   NAME.g_idx   I32 [inputs]                                 the group of each input
import { float16 } from "../formats/mod.ts";
import type { Quantized } from "../quant/mod.ts";
import { quantizedOf } from "./_affine_codes.ts";
import { readScales, readTyped, unpackWords } from "./_read_typed.ts";
import { tensorInfo, type TensorReader } from "./tensor.ts";

/** Reads the weight of a layer, or gives undefined where there is no `qweight`. */
export async function readGptqLinear(
  reader: TensorReader,
  name: string,
  config: Readonly<Record<string, unknown>>,
): Promise<Quantized | undefined> {
  if (!reader.tensors.has(`${name}.qweight`)) return undefined;
  const bits = config.bits;
  if (bits !== 2 && bits !== 3 && bits !== 4 && bits !== 8) {
    throw new TypeError(`Cannot read a GPTQ checkpoint of ${bits} bits: only 2, 3, 4 and 8`);
  }
  const scaleInfo = tensorInfo(reader, `${name}.scales`);
  const [groups, rows] = scaleInfo.shape;
  const [cols] = tensorInfo(reader, `${name}.g_idx`).shape;
  const words = new Uint32Array(
    await readTyped(reader, `${name}.qweight`, { type: "I32", shape: [cols * bits / 32, rows] }),
  );
  const zeroWords = new Uint32Array(
    await readTyped(reader, `${name}.qzeros`, { type: "I32", shape: [groups, rows * bits / 32] }),
  );
  const codes = new Uint8Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    codes.set(unpackWords(words, { bits, count: cols, first: row, stride: rows }), row * cols);
  }
  const scales = await readScales(reader, `${name}.scales`, [groups, rows]);
  return quantizedOf({
    rows,
    cols,
    bits,
    codes,
    groupSize: Math.ceil(cols / groups),
    scale: transposed(scales, groups, rows),
    zeros: transposed(
      readZeros(zeroWords, { bits, groups, rows, isVersion2: isVersion2(config) }),
      groups,
      rows,
    ),
    groupOf: new Int32Array(await readTyped(reader, `${name}.g_idx`, { type: "I32", shape: [cols] })),
    scaleFormat: scaleInfo.type === "F16" ? float16 : undefined,
  });
}

function isVersion2(config: Readonly<Record<string, unknown>>): boolean {
  return (config.checkpoint_format ?? config.format) === "gptq_v2";
}

/** `[groups, rows]`. Version 1 stores one less, and a field wraps within itself. */
function readZeros(
  words: Uint32Array<ArrayBuffer>,
  layout: {
    readonly bits: number;
    readonly groups: number;
    readonly rows: number;
    readonly isVersion2: boolean;
  },
): Float32Array<ArrayBuffer> {
  const { bits, groups, rows, isVersion2 } = layout;
  const zeros = new Float32Array(groups * rows);
  for (let group = 0; group < groups; group++) {
    const stored = unpackWords(words, { bits, count: rows, first: group * rows * bits / 32 });
    zeros.set(isVersion2 ? stored : stored.map((zero) => zero + 1 & 2 ** bits - 1), group * rows);
  }
  return zeros;
}

/** `[rows, groups]` of `[groups, rows]`. */
export function transposed(
  values: Float32Array<ArrayBuffer>,
  groups: number,
  rows: number,
): Float32Array<ArrayBuffer> {
  const turned = new Float32Array(values.length);
  for (let group = 0; group < groups; group++) {
    for (let row = 0; row < rows; row++) turned[row * groups + group] = values[group * rows + row];
  }
  return turned;
}
