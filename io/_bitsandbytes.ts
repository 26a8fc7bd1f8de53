// bitsandbytes checkpoints. 4 bits: the weight is flattened and cut into blocks; the state of each is kept beside it.
//
//   NAME.weight                                U8 [ceil(count / 2), 1]   codes, the even one in the high nibble
//   NAME.weight.absmax                         F32 [blocks], or U8 where it is quantized itself
//   NAME.weight.quant_state.bitsandbytes__nf4  U8 JSON (or __fp4)
//
// LLM.int8(): NAME.weight I8 [outputs, inputs], NAME.SCB F32 [outputs], the absmax of each row.
import { bnbFloat4, int8, nf4, type NumberFormat } from "../formats/mod.ts";
import { gridOf, perChannel, perGroup, type Quantized } from "../quant/mod.ts";
import { readScales, readTyped } from "./_read_typed.ts";
import { parseStrictJson } from "./_strict_json.ts";
import { tensorInfo, type TensorReader } from "./tensor.ts";

const FORMATS: Readonly<Record<string, NumberFormat>> = { nf4, fp4: bnbFloat4 };

/** Largest code of LLM.int8(). */
const INT8_MAX = 127;

/** Reads the weight of a layer, or gives undefined where it is not quantized. */
export async function readBitsandbytesLinear(
  reader: TensorReader,
  name: string,
): Promise<Quantized | undefined> {
  if (reader.tensors.has(`${name}.SCB`)) return await readInt8(reader, name);
  for (const [type, format] of Object.entries(FORMATS)) {
    const state = `${name}.weight.quant_state.bitsandbytes__${type}`;
    if (reader.tensors.has(state)) return await read4Bit(reader, name, { format, state });
  }
  return undefined;
}

async function readInt8(reader: TensorReader, name: string): Promise<Quantized> {
  const { shape: [rows, cols] } = tensorInfo(reader, `${name}.weight`);
  const codes = new Uint8Array(
    await readTyped(reader, `${name}.weight`, { type: "I8", shape: [rows, cols] }),
  );
  const absmax = await readScales(reader, `${name}.SCB`, [rows]);
  const qparams = {
    format: int8,
    grid: gridOf(perChannel(), { rows, cols }),
    scale: absmax.map((value) => value / INT8_MAX),
    levels: { min: -INT8_MAX, max: INT8_MAX },
  };
  return { codes, qparams };
}

async function read4Bit(
  reader: TensorReader,
  name: string,
  layout: { readonly format: NumberFormat; readonly state: string },
): Promise<Quantized> {
  const { format } = layout;
  const { rows, cols, blockSize, nestedOffset } = await readState(reader, layout.state);
  if (cols % blockSize !== 0) {
    throw new TypeError(`Cannot read ${name}: its blocks of ${blockSize} cross rows of ${cols}`);
  }
  const packed = new Uint8Array(
    await readTyped(reader, `${name}.weight`, { type: "U8", shape: [rows * cols / 2, 1] }),
  );
  const codes = new Uint8Array(rows * cols);
  packed.forEach((pair, i) => codes.set([pair >> 4, pair & 15], 2 * i));
  const blocks = rows * cols / blockSize;
  const scale = nestedOffset === undefined
    ? await readScales(reader, `${name}.weight.absmax`, [blocks])
    : await readNestedAbsmax(reader, name, { blocks, offset: nestedOffset });
  const grid = gridOf(perGroup(blockSize), { rows, cols });
  return { codes, qparams: { format, grid, scale, levels: { min: format.min, max: format.max } } };
}

interface State {
  readonly rows: number;
  readonly cols: number;
  readonly blockSize: number;
  readonly nestedOffset?: number;
}

async function readState(reader: TensorReader, name: string): Promise<State> {
  const text = new TextDecoder().decode(await reader.readBytes(name));
  const state = parseStrictJson(text);
  if (!(state instanceof Map)) throw new SyntaxError(`Cannot read ${name}: it is not a JSON object`);
  const shape = state.get("shape");
  const blockSize = state.get("blocksize");
  const nested = state.get("nested_offset");
  const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
  if (!Array.isArray(shape) || shape.length !== 2 || !shape.every(isSize) || !isSize(blockSize)) {
    throw new SyntaxError(`Cannot read ${name}: it needs a shape of two sizes and a blocksize`);
  }
  if (nested !== undefined && (typeof nested !== "number" || state.get("nested_blocksize") !== 256)) {
    throw new TypeError(`Cannot read ${name}: only nested blocks of 256 are supported`);
  }
  const [rows, cols] = shape as number[];
  return { rows, cols, blockSize, nestedOffset: nested };
}

/** Double quantization: `absmax = map[code] * nestedAbsmax + offset`. */
async function readNestedAbsmax(
  reader: TensorReader,
  name: string,
  layout: { readonly blocks: number; readonly offset: number },
): Promise<Float32Array<ArrayBuffer>> {
  const { blocks, offset } = layout;
  const codes = new Uint8Array(
    await readTyped(reader, `${name}.weight.absmax`, { type: "U8", shape: [blocks] }),
  );
  const map = await readScales(reader, `${name}.weight.nested_quant_map`, [256]);
  const absmax = await readScales(reader, `${name}.weight.nested_absmax`, [Math.ceil(blocks / 256)]);
  const { fround } = Math;
  return Float32Array.from(codes, (code, i) => fround(fround(map[code] * absmax[i >> 8]) + fround(offset)));
}
