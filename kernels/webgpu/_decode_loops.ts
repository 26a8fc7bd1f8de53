// The loops of a decode kernel: units that are held at once or streamed, their products, and the reduction over a subgroup.
import { range } from "./_range.ts";

/** How the columns are divided. */
export interface DecodeShape {
  /** Columns that a subgroup computes together. */
  readonly columns: number;
  /** Units of 16 bytes that an invocation reads of each column before it computes. */
  readonly unroll: number;
  /** Subgroups of a workgroup. */
  readonly subgroups: number;
  /** Most workgroups, which then take several blocks of columns in turn; for kernels that prepare x first. */
  readonly workgroups?: number;
}

/** One product over units of the weight. */
export interface DecodePhase {
  /** Binding of type `array<vec4<u32>>`. */
  readonly right: string;
  /** Units from one column to the next, all of which are read. */
  readonly units: number;
  /** Prefix of the sums `prefix_column_row`. */
  readonly sum: string;
  /** WGSL type of the sums. */
  readonly type: "i32" | "f32";
  /** Statements that make row `m` of x ready at `unit`. */
  loadRow(m: number, unit: string): string;
  /** WGSL expression of type u32 that is read along with a unit, given its number and its column. */
  readonly beside?: (unit: string, column: string) => string;
  /** Statements that make a fetched unit of column `r` ready, given its name, its number, the column, and what lay beside. */
  expand(r: number, fetched: string, unit: string, column: string, beside: string): string;
  /** Statements that add the product of column `r` and row `m` to `sum`. */
  multiply(r: number, m: number, sum: string): string;
}

/** Lanes that hold the same result after the reduction. */
export function resultSpread({ columns }: DecodeShape, rows: number): number {
  return 32 / 2 ** Math.ceil(Math.log2(rows * columns));
}

/**
 * Adds up the sums of a phase over the subgroup. While there are several, the lanes of one half keep half of them and give
 * the others away; in the end lane l holds result l / spread: result m * columns + r is that of row m and column r.
 */
export function reduction(
  { columns }: DecodeShape,
  rows: number,
  { sum, type }: DecodePhase,
  p: number,
): string {
  const results = range(rows).flatMap((m) => range(columns).map((r) => `${sum}_${r}_${m}`));
  const lines: string[] = [];
  let names = [
    ...results,
    ...Array(2 ** Math.ceil(Math.log2(results.length)) - results.length).fill(`${type}(0)`),
  ];
  for (let distance = 16; distance >= 1; distance /= 2) {
    const half = names.length / 2;
    const next = (i: number): string => `total_${p}_${distance}_${i}`;
    if (names.length === 1) {
      lines.push(`let ${next(0)} = ${names[0]} + subgroupShuffleXor(${names[0]}, ${distance}u);`);
      names = [next(0)];
      continue;
    }
    lines.push(`let upper_${p}_${distance} = (lane & ${distance}u) != 0u;`);
    names = range(half).map((i) => {
      const [low, high, upper] = [names[i], names[i + half], `upper_${p}_${distance}`];
      lines.push(
        `let ${
          next(i)
        } = select(${low}, ${high}, ${upper}) + subgroupShuffleXor(select(${high}, ${low}, ${upper}), ${distance}u);`,
      );
      return next(i);
    });
  }
  return `    ${lines.join("\n    ")}
    let mine_${p} = ${names[0]};`;
}

export const columnNames = (shape: DecodeShape, start: string): string =>
  range(shape.columns).map((r) => `let column_${r} = min(${start} + ${r}u, uniforms.columns - 1u);`).join(
    " ",
  );

export const declareSums = (shape: DecodeShape, rows: number, { sum, type }: DecodePhase): string =>
  range(shape.columns).flatMap((r) => range(rows).map((m) => `var ${sum}_${r}_${m} = ${type}(0);`)).join(" ");

/** Statements that multiply fetched units, one of each column, with all rows. */
function multiplyUnits(
  shape: DecodeShape,
  rows: number,
  phase: DecodePhase,
  unit: string,
  fetched: (r: number) => string,
): string {
  const columns = range(shape.columns);
  const row = (m: number): string =>
    `{ ${phase.loadRow(m, "unit")} ${
      columns.map((r) => phase.multiply(r, m, `${phase.sum}_${r}_${m}`)).join("\n        ")
    } }`;
  return `{ let unit = ${unit};
        ${
    columns.map((r) => phase.expand(r, fetched(r), "unit", `column_${r}`, `${fetched(r)}_beside`)).join(
      "\n        ",
    )
  }
        ${range(rows).map(row).join("\n        ")} }`;
}

/** Loads of each column in a phase. */
const loadsOf = ({ units }: DecodePhase): number[] => range(Math.ceil(units / 32));

/** Calls `f` for each unit that an invocation holds, and joins what it gives. */
function eachHeld(
  shape: DecodeShape,
  phases: readonly DecodePhase[],
  f: (name: string, phase: DecodePhase, r: number, u: number) => string,
): string {
  return phases.flatMap((phase, p) =>
    loadsOf(phase).flatMap((u) => range(shape.columns).map((r) => f(`fetched_${p}_${r}_${u}`, phase, r, u)))
  ).join("\n    ");
}

export const declareHeld = (shape: DecodeShape, phases: readonly DecodePhase[]): string =>
  eachHeld(
    shape,
    phases,
    (name, { beside }) => `var ${name}: vec4<u32>;${beside ? ` var ${name}_beside: u32;` : ""}`,
  );

/** Reads all units of the columns. */
export function heldFetches(shape: DecodeShape, phases: readonly DecodePhase[]): string {
  return eachHeld(shape, phases, (name, { right, units, beside }, r, u) => {
    const unit = units >= 32 * (u + 1) ? `lane + ${32 * u}u` : `min(lane + ${32 * u}u, ${units - 1}u)`;
    const more = beside ? ` ${name}_beside = ${beside(`(${unit})`, `column_${r}`)};` : "";
    return `${name} = ${right}[column_${r} * ${units}u + ${unit}];${more}`;
  });
}

/** Multiplies what is held. */
export function heldProducts(shape: DecodeShape, rows: number, phases: readonly DecodePhase[]): string {
  return phases.flatMap((phase, p) =>
    loadsOf(phase).map((u) => {
      const product = multiplyUnits(shape, rows, phase, `lane + ${32 * u}u`, (r) => `fetched_${p}_${r}_${u}`);
      return phase.units >= 32 * (u + 1) ? product : `if (lane + ${32 * u}u < ${phase.units}u) ${product}`;
    })
  ).join("\n      ");
}

/** Long rows: some units of each column at a time. */
export function streamedPhase(shape: DecodeShape, rows: number, phase: DecodePhase): string {
  const unroll = Math.max(1, Math.min(shape.unroll, Math.ceil(phase.units / 32)));
  const whole = phase.units % (32 * unroll) === 0;
  const fetch = (r: number, u: number): string => {
    const unit = whole ? `unit_${u}` : `min(unit_${u}, ${phase.units - 1}u)`;
    const name = `fetched_${r}_${u}`;
    const more = phase.beside ? ` let ${name}_beside = ${phase.beside(unit, `column_${r}`)};` : "";
    return `let ${name} = ${phase.right}[column_${r} * ${phase.units}u + ${unit}];${more}`;
  };
  const product = (u: number): string => {
    const statements = multiplyUnits(shape, rows, phase, `unit_${u}`, (r) => `fetched_${r}_${u}`);
    return whole ? statements : `if (unit_${u} < ${phase.units}u) ${statements}`;
  };
  return `      for (var start = lane; start < ${phase.units}u; start += ${32 * unroll}u) {
        ${range(unroll).map((u) => `let unit_${u} = start + ${32 * u}u;`).join(" ")}
        ${range(unroll).flatMap((u) => range(shape.columns).map((r) => fetch(r, u))).join("\n        ")}
        ${range(unroll).map(product).join("\n        ")}
      }`;
}
