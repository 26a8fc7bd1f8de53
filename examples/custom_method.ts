// A method of one's own, compared with the others:
//   deno task quik compare examples/demo_model --text examples/demo_model/valid.txt \
//     --methods float,rtn-w4,gptq-w4 --method-file examples/custom_method.ts
// The number format is new: zero and powers of two, so that a product is a shift. The rest is put together from the
// library's parts: GPTQ rounds the weights to the format, and activations are rounded to 8 bits.
import { defineCodebook } from "@quik/quant/formats";
import { composeMethod, formatGrid, gptqRounder, perTokenActivations } from "@quik/quant/quant";

const powers = [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64];
const shift4 = defineCodebook({ name: "shift4", levels: [...powers.map((power) => -power), 0, ...powers] });

export default composeMethod({
  name: "gptq-shift4-a8",
  rounder: gptqRounder({ grid: formatGrid({ format: shift4 }), groupSize: 64 }),
  activations: perTokenActivations({ bits: 8 }),
});
