// Which variants compute which op. The first variant that supports and suits a spec is the default choice, so faster
// and pickier variants stand before those that run everywhere.
import type { KernelSpec, OpName } from "../specs.ts";
import { affineLinearVariants } from "./affine_linear.ts";
import { argmaxVariants } from "./argmax.ts";
import { attentionVariants } from "./attention.ts";
import type { WebGpuCapabilities } from "./capabilities.ts";
import { codebookLinearDecodeVariants } from "./codebook_linear_decode.ts";
import { codebookLinearMatrixVariants } from "./codebook_linear_matrix.ts";
import { codebookLinearTableVariants } from "./codebook_linear_table.ts";
import { codebookLinearVariants } from "./codebook_linear.ts";
import { columnAbsmaxVariants } from "./column_absmax.ts";
import { denseLinearMatrixVariants } from "./dense_linear_matrix.ts";
import { denseLinearDecodeVariants } from "./dense_linear_decode.ts";
import { denseLinearVariants } from "./dense_linear.ts";
import { dequantizeGroupsVariants } from "./dequantize_groups.ts";
import { activationVariants, addVariants, gatedActivationVariants } from "./elementwise.ts";
import { gptqSweepVariants } from "./gptq_sweep.ts";
import { gramVariants } from "./gram.ts";
import { groupedLinearDecodeVariants } from "./grouped_linear_decode.ts";
import { groupedLinearMatrixVariants } from "./grouped_linear_matrix.ts";
import { groupedLinearVariants } from "./grouped_linear.ts";
import { hadamardVariants } from "./hadamard.ts";
import { integerMatmulMatrixVariants } from "./integer_matmul_matrix.ts";
import { integerMatmulVariants } from "./integer_matmul.ts";
import { inverseFactorVariants } from "./inverse_factor.ts";
import { lowRankAddVariants } from "./low_rank_add.ts";
import { layerNormVariants, rmsNormVariants } from "./norms.ts";
import { outlierMatmulVariants } from "./outlier_matmul.ts";
import { inOrder, type KernelVariant } from "./program.ts";
import { quantizeActivationsGatheredVariants } from "./quantize_activations_gathered.ts";
import { quantizeActivationsStagedVariants } from "./quantize_activations_staged.ts";
import { quantizeActivationsVariants } from "./quantize_activations.ts";
import { quantizeGroupsVariants } from "./quantize_groups.ts";
import { quikLayerDecodeVariants } from "./quik_layer_decode.ts";
import { quikLayerVariants } from "./quik_layer.ts";
import { quikLinearMatrixVariants } from "./quik_linear_matrix.ts";
import { quikLinearDecodeVariants } from "./quik_linear_decode.ts";
import { quikLinearVariants } from "./quik_linear.ts";
import { ropeVariants } from "./rope.ts";
import { gatherRowsVariants, scatterRowsVariants } from "./rows.ts";
import { sparseAddVariants } from "./sparse_add.ts";
import { tableLinearVariants } from "./table_linear.ts";
import { tokenNllVariants } from "./token_nll.ts";

type VariantTable = { readonly [Op in OpName]?: readonly KernelVariant<Extract<KernelSpec, { op: Op }>>[] };

const VARIANTS: VariantTable = {
  dense_linear: [...denseLinearMatrixVariants, ...denseLinearDecodeVariants, ...denseLinearVariants],
  quantize_activations: [
    ...quantizeActivationsGatheredVariants,
    ...quantizeActivationsStagedVariants,
    ...quantizeActivationsVariants,
  ],
  integer_matmul: [...integerMatmulMatrixVariants, ...integerMatmulVariants],
  quik_linear: [...quikLinearMatrixVariants, ...quikLinearDecodeVariants, ...quikLinearVariants],
  quik_layer: [...quikLayerDecodeVariants, ...quikLayerVariants],
  gather_rows: gatherRowsVariants,
  scatter_rows: scatterRowsVariants,
  rms_norm: rmsNormVariants,
  layer_norm: layerNormVariants,
  rope: ropeVariants,
  attention: attentionVariants,
  activation: activationVariants,
  gated_activation: gatedActivationVariants,
  add: addVariants,
  token_nll: tokenNllVariants,
  argmax: argmaxVariants,
  gram: gramVariants,
  column_absmax: columnAbsmaxVariants,
  hadamard: hadamardVariants,
  quantize_groups: quantizeGroupsVariants,
  dequantize_groups: dequantizeGroupsVariants,
  grouped_linear: [
    ...groupedLinearMatrixVariants,
    ...groupedLinearDecodeVariants,
    ...groupedLinearVariants,
  ],
  table_linear: tableLinearVariants,
  sparse_add: sparseAddVariants,
  low_rank_add: lowRankAddVariants,
  inverse_factor: inverseFactorVariants,
  gptq_sweep: gptqSweepVariants,
  affine_linear: affineLinearVariants,
  outlier_matmul: outlierMatmulVariants,
  codebook_linear: [
    ...codebookLinearMatrixVariants,
    ...codebookLinearDecodeVariants,
    ...codebookLinearTableVariants,
    ...codebookLinearVariants,
  ],
};

/**
 * The variants that compute a spec on a device, in order of preference.
 *
 * @param spec The op.
 * @param capabilities What the device can do.
 * @returns The variants; empty when there is none.
 */
export function variantsFor(spec: KernelSpec, capabilities: WebGpuCapabilities): readonly KernelVariant[] {
  const all: readonly KernelVariant[] = VARIANTS[spec.op] ?? [];
  return inOrder(all, spec, capabilities);
}
