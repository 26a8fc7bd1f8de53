// The buffers of the ops in fbgemm_specs.ts.
import { type KernelSignature, optional, role, signature } from "./_roles.ts";
import type { FbgemmSpec } from "./fbgemm_specs.ts";
import { packedRowBytes } from "./specs.ts";

/** The buffers that a spec of fbgemm_specs.ts takes. */
export function fbgemmSignature(spec: FbgemmSpec): KernelSignature {
  const weight = role("weight codes", spec.columns * packedRowBytes(spec.inner, 8));
  if (spec.op === "affine_linear") {
    const rowBytes = spec.outputType === "uint8" ? packedRowBytes(spec.columns, 8) : spec.columns * 4;
    return signature([
      role("x", spec.rows * spec.inner * 4),
      role("qparams", 16),
      weight,
      role("weight scales", spec.columns * 4),
      role("weight zero points", spec.columns * 4),
      role("column offsets", spec.columns * 4),
      ...optional(spec.bias, "bias", spec.columns * 4),
    ], role("y", spec.rows * rowBytes));
  }
  return signature([
    role("codes", spec.rows * packedRowBytes(spec.inner, 8)),
    weight,
    role("remainder starts", (spec.columns + 1) * 4),
    role("remainder indices", spec.remainders * 4),
    role("remainder values", spec.remainders * 4),
  ], role("accumulators", spec.rows * spec.columns * 4));
}
