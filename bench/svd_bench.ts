// The leading 32 singular triplets of a 2048 x 2048 matrix, on the host in float64 and with the products on the wasm backend:
// `deno bench --allow-all bench/svd_bench.ts`.
import { createWasmBackend } from "../kernels/mod.ts";
import { deviceTruncatedSvd } from "../ops/mod.ts";
import { createMatrix, createRandom, toMatrix64, truncatedSvd } from "../quant/mod.ts";

const SIZE = 2048, RANK = 32;
const random = createRandom(1);
const matrix = createMatrix(SIZE, SIZE, Float32Array.from({ length: SIZE * SIZE }, () => random.normal()));
const wide = toMatrix64(matrix);
const group = `rank ${RANK} of ${SIZE} x ${SIZE}`;

Deno.bench("host, float64", { group, baseline: true, n: 5 }, () => {
  truncatedSvd(wide, RANK);
});

for (const threads of [1, 2]) {
  Deno.bench(`wasm, float32, ${threads} threads`, { group, n: 5 }, async (bench) => {
    using backend = await createWasmBackend({ threads });
    bench.start();
    await deviceTruncatedSvd(backend, matrix, RANK);
    bench.end();
  });
}
