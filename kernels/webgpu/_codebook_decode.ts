// The dispatch that the decode kernels of weight-only products share, whatever they make of x and of the codes.
import type { CodebookLinearSpec } from "../specs.ts";
import { decodeEnables, decodeShader, decodeWorkgroups, type RowsInTurn, sumAndBias } from "./_decode.ts";
import type { DecodePhase, DecodeShape } from "./_decode_loops.ts";
import { FLOAT8_FUNCTIONS, floatStorage } from "./_operands.ts";
import { type Binding, type ComputePass, definePass, input, output } from "./program.ts";
import type { WebGpuCapabilities } from "./capabilities.ts";

/** How a kernel gets at x. */
export interface PreparedX {
  /** The buffers that hold it. */
  readonly bindings: readonly Binding[];
  /** WGSL at module scope. */
  readonly declarations: string;
  /** Statements before the first reads of the weight. */
  readonly reads: string;
  /** Statements after them. */
  readonly prologue: string;
}

/** The binding of the levels. */
export const tableBinding: Binding = input(2, "table", "array<f32>");

/** Writes the dispatch for some rows; `phase` reads `right`, `scales` and `zeros`. */
export function codebookDecodePass(
  spec: CodebookLinearSpec,
  taken: RowsInTurn,
  shape: DecodeShape,
  capabilities: WebGpuCapabilities,
  phase: DecodePhase,
  x: PreparedX,
): ComputePass {
  const { columns, bias, zeroPoint, scaleType } = spec;
  return definePass({
    enables: decodeEnables(capabilities),
    bindings: [
      ...x.bindings,
      input(1, "right", "array<vec4<u32>>"),
      tableBinding,
      input(3, "scales", floatStorage(scaleType).binding),
      ...(zeroPoint ? [input(4, "zeros", "array<f32>")] : []),
      ...(bias ? [input(zeroPoint ? 5 : 4, "bias", "array<f32>")] : []),
      output(0, "y", "array<f32>"),
    ],
    workgroups: decodeWorkgroups(shape, columns),
    body: decodeShader(shape, taken, { columns }, [phase], {
      declarations: `${scaleType.startsWith("float8") ? FLOAT8_FUNCTIONS : ""}
${x.declarations}`,
      reads: x.reads,
      prologue: x.prologue,
      ...sumAndBias(bias),
    }),
  });
}
