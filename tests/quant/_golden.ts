// Layers run through the authors' QUIK simulation (their `fake_quant` numerics in float32): see the files' metadata.
import { createMatrix, type Matrix } from "@quik/quant/quant";

/** One golden layer. */
export interface GoldenLayer {
  bits: 4 | 8;
  clip: boolean;
  input: Matrix;
  weight: Matrix;
  absmax: Float32Array<ArrayBuffer>;
  outliers: Uint32Array<ArrayBuffer>;
  /** Their order of rounding; ours where nothing was permuted. */
  order?: Uint32Array<ArrayBuffer>;
  scales: Float32Array<ArrayBuffer>;
  /** Their dequantized weights after plain rounding and after GPTQ. */
  rounded: Matrix;
  gptq: Matrix;
  /** Their outputs: float, and with quantized weights and activations. */
  outputFloat: Matrix;
  output: Matrix;
}

/** Reads `quik_layer_NAME.safetensors`. */
export function readGoldenLayer(name: string): GoldenLayer {
  const url = new URL(`../fixtures/golden/quik_layer_${name}.safetensors`, import.meta.url);
  const orders = JSON.parse(
    Deno.readTextFileSync(new URL("../fixtures/golden/quik_layer_order.json", import.meta.url)),
  );
  const bytes = Deno.readFileSync(url);
  const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes)));
  const slice = (key: string): ArrayBuffer => {
    const [start, end] = header[key].data_offsets;
    return bytes.buffer.slice(8 + headerBytes + start, 8 + headerBytes + end);
  };
  const vector = (key: string) => new Float32Array(slice(key));
  const matrix = (key: string) => createMatrix(header[key].shape[0], header[key].shape[1], vector(key));
  const { bits, clip } = header.__metadata__;
  return {
    bits: bits === "4" ? 4 : 8,
    clip: clip === "True",
    input: matrix("input"),
    weight: matrix("weight"),
    absmax: vector("act_absmax"),
    outliers: "outlier_indices" in header ? new Uint32Array(slice("outlier_indices")) : new Uint32Array(0),
    ...(name in orders ? { order: Uint32Array.from(orders[name]) } : {}),
    scales: vector("weight_scale"),
    rounded: matrix("weight_rtn_dequant"),
    gptq: matrix("weight_gptq_dequant"),
    outputFloat: matrix("output_fp32"),
    output: matrix(bits === "4" ? "output_w4a4" : "output_w8a8"),
  };
}
