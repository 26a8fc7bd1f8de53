// The buffers of the ops in quantization_specs.ts.
import type { QuantizationSpec } from "./quantization_specs.ts";
import {
  FLOAT_BYTES,
  type KernelSignature,
  optional,
  result,
  role,
  SCALE_BYTES,
  signature,
} from "./_roles.ts";
import { packedRowBytes } from "./specs.ts";

/** The buffers that a spec of quantization_specs.ts takes. */
export function quantizationSignature(spec: QuantizationSpec): KernelSignature {
  switch (spec.op) {
    case "hadamard":
      return signature([
        role("x", spec.rows * spec.columns * 4),
        ...optional(spec.order > 1, "hadamard matrix", spec.order * spec.order * 4),
        ...optional(spec.signs, "signs", spec.columns * 4),
      ], role("y", spec.rows * spec.columns * 4));
    case "quantize_groups":
      return signature(
        [
          role("x", spec.rows * spec.columns * 4),
          role("thresholds", (2 ** spec.bits - 1) * 4),
          role("code table", 2 ** spec.bits * 4),
        ],
        role("codes", spec.rows * packedRowBytes(spec.columns, spec.bits)),
        role("scales", spec.rows * Math.ceil(spec.columns / spec.groupSize) * 4),
      );
    case "dequantize_groups": {
      const scales = spec.rows * Math.ceil(spec.columns / spec.groupSize);
      return signature([
        role("codes", spec.rows * packedRowBytes(spec.columns, spec.bits)),
        role("table", 2 ** spec.bits * 4),
        role("scales", scales * SCALE_BYTES[spec.scaleType]),
        ...optional(spec.zeroPoint, "zero points", scales * 4),
      ], role("y", spec.rows * spec.columns * 4));
    }
    case "grouped_linear": {
      const groups = Math.ceil(spec.inner / spec.groupSize);
      return signature([
        role("codes", spec.rows * packedRowBytes(spec.inner, spec.activationBits)),
        role("scales", spec.rows * groups * 4),
        role("weight codes", spec.columns * packedRowBytes(spec.inner, spec.weightBits)),
        role("weight scales", spec.columns * groups * 4),
        ...optional(spec.bias, "bias", spec.columns * 4),
      ], result(spec));
    }
    case "table_linear": {
      const groups = Math.ceil(spec.inner / spec.groupSize);
      return signature([
        role("x", spec.rows * spec.inner * 4),
        role("codes", spec.columns * packedRowBytes(spec.inner, spec.bits)),
        role("tables", spec.columns * groups * 2 ** spec.bits * 4),
        ...optional(spec.bias, "bias", spec.columns * 4),
      ], role("y", spec.rows * spec.columns * 4));
    }
    case "sparse_add":
      return signature([
        role("x", spec.rows * spec.inner * 4),
        role("row starts", (spec.columns + 1) * 4),
        role("indices", spec.nonzeros * 4),
        role("values", spec.nonzeros * 4),
      ], role("y", spec.rows * spec.columns * 4));
    case "low_rank_add": {
      const bytes = FLOAT_BYTES[spec.weightType];
      return signature([
        role("x", spec.rows * spec.inner * 4),
        role("down", spec.rank * spec.inner * bytes),
        role("up", spec.columns * spec.rank * bytes),
      ], role("y", spec.rows * spec.columns * 4));
    }
    case "inverse_factor":
      return signature(
        [
          role("hessian", spec.size * spec.size * 4),
          role("order", spec.size * 4),
          role("damping", 4),
        ],
        role("factor", spec.size * spec.size * 4),
        role("pivots", spec.size * 4),
      );
    case "gptq_sweep":
      return signature(
        [
          role("factor", spec.columns * spec.columns * 4),
          role("column groups", spec.base * 4),
          role("scales", spec.rows * spec.groups * 4),
          role("zero points", spec.rows * spec.groups * 4),
          role("thresholds", (2 ** spec.bits - 1) * 4),
          role("code table", 2 ** spec.bits * 4),
          role("table", 2 ** spec.bits * 4),
        ],
        role("weight", spec.rows * spec.columns * 4),
        role("codes", spec.rows * packedRowBytes(spec.base, 8)),
        role("loss", spec.rows * 4),
      );
  }
}
