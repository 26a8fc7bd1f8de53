// Packing and unpacking in every order: codes a second on one core, printed by `deno run` and `deno bench` alike.
import { pack, type PackingOrder, unpack } from "@quik/quant/formats";
import { createReporter } from "./_rate.ts";

const report = createReporter(import.meta.main);
const SHAPE = [256, 2048] as const;
const COUNT = SHAPE[0] * SHAPE[1];

const cases: [PackingOrder, number[]][] = [
  ["row-major", [1, 2, 3, 4, 5, 6, 7, 8]],
  ["bitsandbytes", [4]],
  ["gguf", [4]],
  ["interleaved", [2, 4]],
  ["compressed-tensors", [3, 4]],
  ["gptq", [3, 4]],
  ["awq", [4]],
  ["marlin", [4]],
];

for (const [order, widths] of cases) {
  for (const bits of widths) {
    const codes = Uint8Array.from({ length: COUNT }, (_, i) => (i * 2654435761 >>> 9) & (2 ** bits - 1));
    const options = { order, shape: SHAPE };
    const packed = pack(codes, bits, options);
    report(`pack ${order} ${bits} bits`, COUNT, () => pack(codes, bits, options));
    report(`unpack ${order} ${bits} bits`, COUNT, () => unpack(packed, bits, COUNT, options));
  }
}
