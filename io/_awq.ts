// AWQ checkpoints, GEMM version (AutoAWQ), 4 bits:
//
//   NAME.qweight I32 [inputs, outputs / 8]    codes packed along the outputs, in an order of their own
//   NAME.qzeros  I32 [groups, outputs / 8]    zero points, packed the same way
//   NAME.scales  F16 [groups, outputs]
import { float16 } from "../formats/mod.ts";
import type { Quantized } from "../quant/mod.ts";
import { quantizedOf } from "./_affine_codes.ts";
import { transposed } from "./_gptq.ts";
import { readScales, readTyped, unpackWords } from "./_read_typed.ts";
import { tensorInfo, type TensorReader } from "./tensor.ts";

const BITS = 4;

/** Column of each nibble of a word, lowest nibble first. */
const ORDER = [0, 2, 4, 6, 1, 3, 5, 7];

/** Reads the weight of a layer, or gives undefined where there is no `qweight`. */
export async function readAwqLinear(
  reader: TensorReader,
  name: string,
  config: Readonly<Record<string, unknown>>,
): Promise<Quantized | undefined> {
  if (!reader.tensors.has(`${name}.qweight`)) return undefined;
  const bits = config.bits ?? config.w_bit;
  const version = String(config.version ?? "gemm").toLowerCase();
  if (bits !== BITS || version !== "gemm") {
    throw new TypeError(
      `Cannot read an AWQ checkpoint of ${bits} bits, version ${version}: only 4 bits, gemm`,
    );
  }
  const scaleInfo = tensorInfo(reader, `${name}.scales`);
  const [groups, rows] = scaleInfo.shape;
  const [cols] = tensorInfo(reader, `${name}.qweight`).shape;
  const read = async (suffix: string, lines: number) =>
    unpackLines(
      new Uint32Array(
        await readTyped(reader, `${name}.${suffix}`, { type: "I32", shape: [lines, rows / 8] }),
      ),
    );
  const codes = transposed(Float32Array.from(await read("qweight", cols)), cols, rows);
  const zeros = Float32Array.from(await read("qzeros", groups));
  return quantizedOf({
    rows,
    cols,
    bits,
    codes: Uint8Array.from(codes),
    groupSize: Math.ceil(cols / groups),
    scale: transposed(await readScales(reader, `${name}.scales`, [groups, rows]), groups, rows),
    zeros: transposed(zeros, groups, rows),
    scaleFormat: scaleInfo.type === "F16" ? float16 : undefined,
  });
}

/** The nibbles of whole words, put back into the order of the columns. */
function unpackLines(words: Uint32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const stored = unpackWords(words, { bits: BITS, count: words.length * 8 });
  const codes = new Uint8Array(stored.length);
  for (let i = 0; i < stored.length; i++) codes[(i & ~7) + ORDER[i & 7]] = stored[i];
  return codes;
}
