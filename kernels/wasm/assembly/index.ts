// Everything the host calls. A kernel takes the units `begin..end` of its work, a scratch area of its own, and its
// arguments, so that any number of threads can share one call.
export { attention, attention_pack, attention_panels, attention_scratch } from "./attention";
export {
  cholesky_diagonal, cholesky_panel, invert_lower, reverse_factor, reverse_hessian, transpose_double,
} from "./cholesky";
export { dense_linear, dense_row, dense_scratch, gram_upper, mirror_upper, pack_transposed_rows } from "./dense";
export { activation, add, gated_activation } from "./elementwise";
export { affine_linear, outlier_matmul, quantize_pack, transpose_codes } from "./fbgemm";
export { gptq_sweep, sweep_scratch } from "./gptq";
export { dequantize_groups, group_sums, grouped_linear, quantize_groups } from "./groups";
export { pack_rows } from "./panels";
export { quantize_activations } from "./quantize";
export { integer_matmul, pack_codes, quik_linear, quik_scratch } from "./quik";
export { column_absmax, gather_rows, norm, rope, scatter_rows, token_nll } from "./rows";
export { dot_takes_bytes } from "./simd";
export { hadamard, sparse_add } from "./transforms";
