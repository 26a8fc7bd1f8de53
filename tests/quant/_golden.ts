// Layers run through the authors' QUIK simulation (their `fake_quant` numerics in float32): see the files' metadata.
import { memorySource, openSafetensors } from "@quik/quant/io";
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
export async function readGoldenLayer(name: string): Promise<GoldenLayer> {
  const folder = new URL("../fixtures/golden/", import.meta.url);
  const orders = JSON.parse(Deno.readTextFileSync(new URL("quik_layer_order.json", folder)));
  const bytes = Deno.readFileSync(new URL(`quik_layer_${name}.safetensors`, folder));
  await using reader = await openSafetensors(memorySource(bytes));
  const vector = (key: string) => reader.readFloat32(key);
  const matrix = async (key: string) => {
    const [rows, cols] = reader.tensors.get(key)!.shape;
    return createMatrix(rows, cols, await vector(key));
  };
  const bits = reader.metadata.get("bits") === "4" ? 4 : 8;
  const hasOutliers = reader.tensors.has("outlier_indices");
  return {
    bits,
    clip: reader.metadata.get("clip") === "True",
    input: await matrix("input"),
    weight: await matrix("weight"),
    absmax: await vector("act_absmax"),
    outliers: Uint32Array.from(hasOutliers ? await vector("outlier_indices") : []),
    ...(name in orders ? { order: Uint32Array.from(orders[name]) } : {}),
    scales: await vector("weight_scale"),
    rounded: await matrix("weight_rtn_dequant"),
    gptq: await matrix("weight_gptq_dequant"),
    outputFloat: await matrix("output_fp32"),
    output: await matrix(`output_w${bits}a${bits}`),
  };
}
