// What buffers a spec takes: one table that every backend checks against, so that a wrong buffer is the same
// error everywhere. Also how a spec is keyed and named in messages.
import type { DeviceBuffer } from "./backend.ts";
import { fbgemmSignature } from "./_fbgemm_signature.ts";
import { quantizationSignature } from "./_quantization_signature.ts";
import {
  type BufferRole,
  FLOAT_BYTES,
  type KernelSignature,
  optional,
  result,
  role,
  SCALE_BYTES,
  signature,
} from "./_roles.ts";
import { float16RowBytes, type KernelSpec, packedRowBytes, quikLayerParts } from "./specs.ts";

/**
 * The buffers that a spec takes.
 *
 * @param spec The op.
 * @returns Roles and least sizes of its inputs and outputs.
 */
export function kernelSignature(spec: KernelSpec): KernelSignature {
  switch (spec.op) {
    case "dense_linear":
      return signature([
        role("x", spec.rows * (spec.inputType === "float16" ? float16RowBytes(spec.inner) : spec.inner * 4)),
        role("weight", spec.columns * spec.inner * FLOAT_BYTES[spec.weightType]),
        ...optional(spec.bias, "bias", spec.columns * 4),
      ], result(spec));
    case "quantize_activations": {
      const base = spec.columns - spec.outliers;
      return signature(
        [
          role("x", spec.rows * spec.columns * 4),
          role("base columns", base * 4),
          role("outlier columns", spec.outliers * 4),
        ],
        role("codes", spec.rows * packedRowBytes(base, spec.bits)),
        role("qparams", spec.rows * 8),
        role("outlier values", spec.rows * float16RowBytes(spec.outliers)),
      );
    }
    case "integer_matmul":
      return signature([
        role("codes", spec.rows * packedRowBytes(spec.inner, spec.activationBits)),
        role("weight codes", spec.columns * packedRowBytes(spec.inner, spec.weightBits)),
      ], role("accumulators", spec.rows * spec.columns * 4));
    case "quik_linear":
      return signature([
        role("codes", spec.rows * packedRowBytes(spec.inner, spec.activationBits)),
        role("qparams", spec.rows * 8),
        role("outlier values", spec.rows * float16RowBytes(spec.outliers)),
        role("weight codes", spec.columns * packedRowBytes(spec.inner, spec.weightBits)),
        role("weight scales", spec.columns * 4),
        role("reduced weights", spec.columns * 4),
        role("outlier weight", spec.columns * float16RowBytes(spec.outliers)),
        ...optional(spec.bias, "bias", spec.columns * 4),
      ], result(spec));
    case "quik_layer": {
      const [quantize, product] = quikLayerParts(spec).map(kernelSignature);
      return { inputs: [...quantize.inputs, ...product.inputs.slice(3)], outputs: product.outputs };
    }
    case "gather_rows":
      return signature([
        role("table", spec.columns * FLOAT_BYTES[spec.tableType]),
        role("ids", spec.rows * 4),
      ], role("y", spec.rows * spec.columns * 4));
    case "scatter_rows":
      return signature([
        role("source", spec.rows * spec.columns * 4),
        role("positions", spec.rows * 4),
      ], role("target", spec.columns * 4));
    case "rms_norm":
      return signature([
        role("x", spec.rows * spec.columns * 4),
        role("weight", spec.columns * 4),
      ], role("y", spec.rows * spec.columns * 4));
    case "layer_norm":
      return signature([
        role("x", spec.rows * spec.columns * 4),
        role("weight", spec.columns * 4),
        role("bias", spec.columns * 4),
      ], role("y", spec.rows * spec.columns * 4));
    case "rope":
      return signature([
        role("x", spec.rows * spec.heads * spec.headSize * 4),
        role("cosines", spec.headSize * 2),
        role("sines", spec.headSize * 2),
        role("positions", spec.rows * 4),
      ], role("y", spec.rows * spec.heads * spec.headSize * 4));
    case "attention":
      return signature([
        role("q", spec.rows * spec.heads * spec.headSize * 4),
        role("keys", spec.capacity * spec.kvHeads * spec.headSize * 4),
        role("values", spec.capacity * spec.kvHeads * spec.headSize * 4),
        role("positions", spec.rows * 4),
      ], role("y", spec.rows * spec.heads * spec.headSize * 4));
    case "activation":
      return signature([role("x", spec.count * 4)], role("y", spec.count * 4));
    case "gated_activation":
      return signature([role("gate", spec.count * 4), role("up", spec.count * 4)], role("y", spec.count * 4));
    case "add":
      return signature([role("a", spec.count * 4), role("b", spec.count * 4)], role("y", spec.count * 4));
    case "token_nll":
      return signature([
        role("logits", spec.rows * spec.columns * 4),
        role("targets", spec.rows * 4),
      ], role("nll", spec.rows * 4));
    case "argmax":
      return signature([role("logits", spec.rows * spec.columns * 4)], role("ids", spec.rows * 4));
    case "gram":
      return signature(
        [role("x", spec.rows * spec.columns * 4)],
        role("gram", spec.columns * spec.columns * 4),
      );
    case "column_absmax":
      return signature([role("x", spec.rows * spec.columns * 4)], role("absmax", spec.columns * 4));
    case "codebook_linear": {
      const groups = Math.ceil(spec.inner / spec.groupSize);
      return signature([
        role("x", spec.rows * spec.inner * 4),
        role("codes", spec.columns * packedRowBytes(spec.inner, spec.bits)),
        role("table", (1 << spec.bits) * 4),
        role("scales", spec.columns * groups * SCALE_BYTES[spec.scaleType]),
        ...optional(spec.zeroPoint, "zero points", spec.columns * groups * 4),
        ...optional(spec.bias, "bias", spec.columns * 4),
      ], role("y", spec.rows * spec.columns * 4));
    }
    case "affine_linear":
    case "outlier_matmul":
      return fbgemmSignature(spec);
    default:
      return quantizationSignature(spec);
  }
}

/**
 * The cache key of a spec: equal specs have equal keys, whatever the order of their members.
 *
 * @param spec The op.
 * @returns A string that names op, formats and shapes.
 */
export function specKey(spec: KernelSpec): string {
  const { op, ...members } = spec;
  const parts = Object.entries(members).sort(([a], [b]) => a < b ? -1 : 1).map(([name, value]) =>
    `${name}=${value}`
  );
  return `${op} ${parts.join(" ")}`;
}

/**
 * Checks the buffers of a dispatch.
 *
 * @param spec The op.
 * @param inputs Buffers to read.
 * @param outputs Buffers to write.
 * @throws {RangeError} If one is missing or too small; the message names op, shapes and buffer.
 */
export function checkBuffers(
  spec: KernelSpec,
  inputs: readonly DeviceBuffer[],
  outputs: readonly DeviceBuffer[],
): void {
  const expected = kernelSignature(spec);
  checkRoles(spec, "input", expected.inputs, inputs);
  checkRoles(spec, "output", expected.outputs, outputs);
}

function checkRoles(
  spec: KernelSpec,
  kind: string,
  roles: readonly BufferRole[],
  buffers: readonly DeviceBuffer[],
): void {
  if (buffers.length !== roles.length) {
    const names = roles.map((role) => role.name).join(", ");
    throw new RangeError(
      `Cannot run ${
        specKey(spec)
      } with ${buffers.length} ${kind} buffers: it takes ${roles.length} (${names})`,
    );
  }
  for (let i = 0; i < roles.length; i++) {
    if (buffers[i].byteLength < roles[i].bytes) {
      throw new RangeError(
        `Cannot run ${specKey(spec)}: ${kind} "${roles[i].name}" holds ${
          buffers[i].byteLength
        } bytes and needs ${roles[i].bytes}`,
      );
    }
  }
}

/**
 * The error for a spec that a backend lacks.
 *
 * @param backend Name of the backend.
 * @param spec The op.
 * @returns The error to throw.
 */
export function unsupported(backend: string, spec: KernelSpec): TypeError {
  return new TypeError(`Cannot run ${specKey(spec)}: the ${backend} backend has no kernel for it`);
}
