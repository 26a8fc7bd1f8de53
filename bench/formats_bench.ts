// Bulk encoding and decoding of every format of 4 to 16 bits: values a second on one core, printed by `deno run` and
// `deno bench` alike.
import {
  bfloat16,
  bnbFloat4,
  decodeArray,
  defineFloat,
  dynamic8,
  encodeArray,
  float16,
  float4E2M1,
  float6E2M3,
  float6E3M2,
  float8E4M3,
  float8E5M2,
  float8E8M0,
  int4,
  int8,
  iq4nlLevels,
  nf4,
  type NumberFormat,
  uint4,
  uint8,
} from "@quik/quant/formats";
import { createRandom } from "@quik/quant/quant";
import { createReporter } from "./_rate.ts";

const report = createReporter(import.meta.main);
const COUNT = 1 << 18;

const formats: NumberFormat[] = [
  int4,
  uint4,
  float4E2M1,
  nf4,
  bnbFloat4,
  iq4nlLevels,
  float6E2M3,
  float6E3M2,
  int8,
  uint8,
  float8E4M3,
  float8E5M2,
  float8E8M0,
  dynamic8,
  defineFloat({ name: "float8E3M4 (one's own)", exponentBits: 3, mantissaBits: 4 }),
  float16,
  bfloat16,
];

const random = createRandom(1);
const normal = Float32Array.from({ length: COUNT }, () => random.normal());

for (const format of formats) {
  // Values that fill the format's range as a scaled weight does: three standard deviations reach its largest value.
  const spread = Math.min(format.max, 1e4) / 3;
  const values = normal.map((value) => value * spread);
  const codes = encodeArray(format, values);
  report(`encode ${format.name}`, COUNT, () => encodeArray(format, values));
  report(`decode ${format.name}`, COUNT, () => decodeArray(format, codes));
}
