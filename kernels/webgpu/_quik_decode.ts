// What the decode kernels of QUIK share, whether they read codes or quantize x themselves: the products of unpacked vectors
// and of outliers, and the epilogue.
import type { CodeBits } from "../specs.ts";
import type { DecodeSurroundings } from "./_decode.ts";
import type { DecodePhase } from "./_decode_loops.ts";
import { range } from "./_range.ts";

const LANES = ["x", "y", "z", "w"];

/** Statements that add the product of vectors `w_r_v` and `x_v` of sixteen int8 each, `count` of them, to `sum`. */
export function multiplyVectors(count: number, r: number, sum: string): string {
  return range(count).flatMap((v) =>
    LANES.map((lane) => `${sum} += dot4I8Packed(w_${r}_${v}.${lane}, x_${v}.${lane});`)
  ).join(" ");
}

/**
 * The product of float16 outliers.
 *
 * @param units Units of a row.
 * @param x WGSL expression for a unit of row `m` of x.
 */
export function outlierPhase(units: number, x: (m: number, unit: string) => string): DecodePhase {
  const unpack = (name: string, from: string): string =>
    LANES.map((lane) => `let ${name}_${lane} = unpack2x16float(${from}.${lane});`).join(" ");
  return {
    right: "outlier_right",
    units,
    sum: "outlier",
    type: "f32",
    loadRow: (m, unit) => `let half = ${x(m, unit)}; ${unpack("h", "half")}`,
    expand: (r, fetched) => unpack(`o_${r}`, fetched),
    multiply: (r, _m, sum) => LANES.map((lane) => `${sum} += dot(o_${r}_${lane}, h_${lane});`).join(" "),
  };
}

/** Whether outliers come first: they take longer per unit, and the last reads to arrive had better be done with soon. Sums of
 * more rows do not fit the registers beside the codes. */
const outliersFirst = ({ rows }: QuikProduct): boolean => rows <= 2;

/** Both products, in the order that `quikEpilogue` expects. */
export function quikPhases(spec: QuikProduct, codes: DecodePhase, outlier: DecodePhase): DecodePhase[] {
  if (spec.outliers === 0) return [codes];
  return outliersFirst(spec) ? [outlier, codes] : [codes, outlier];
}

/** What products and epilogue depend on. */
interface QuikProduct {
  readonly rows: number;
  readonly activationBits: CodeBits;
  readonly outliers: number;
  readonly bias: boolean;
}

/**
 * The epilogue of `quikPhases`.
 *
 * @param spec The op.
 * @param token WGSL expression for scale and zero of `row`.
 * @param exact WGSL expression for the true value of an integer sum.
 */
export function quikEpilogue(
  spec: QuikProduct,
  token: string,
  exact: (sum: string) => string,
): Pick<DecodeSurroundings, "parameters" | "beforeResult" | "result"> {
  const { activationBits, outliers, bias } = spec;
  const outlierSum = outliersFirst(spec) ? 0 : 1;
  const codesSum = outliers > 0 ? 1 - outlierSum : 0;
  const ofColumn = (buffer: string) => (column: string): string => `${buffer}[${column}]`;
  return {
    parameters: [
      ["scale_here", ofColumn("weight_scale")],
      ["reduced_here", ofColumn("reduced")],
      ...(bias ? [["bias_here", ofColumn("bias")] as const] : []),
    ],
    beforeResult: `let of_row = ${token};
      let shift = of_row.y + ${2 ** (activationBits - 1)}.0 * of_row.x;`,
    result: (sum) => {
      const terms = [
        `f32(${exact(sum(codesSum))}) * of_row.x * scale_here`,
        "shift * reduced_here",
        ...(outliers > 0 ? [sum(outlierSum)] : []),
        ...(bias ? ["bias_here"] : []),
      ];
      return terms.join(" + ");
    },
  };
}
