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

/** A word of 32 bits that is read along with a unit, such as the scale of its group. */
export interface BesideUnit {
  /** WGSL expression of type u32, given the number of the unit and its column. */
  read(unit: string, column: string): string;
  /** Where the words of a column lie together: a subgroup reads each once, and its invocations pass them around. */
  readonly shared?: {
    /** Words of a column. */
    readonly count: number;
    /** Words that the 32 units of one load need; divides 32. */
    readonly perLoad: number;
    /** WGSL expression: which of those an invocation needs, `lane` being known. */
    readonly ofLane: string;
    /** WGSL expression of type u32: a word of a column. */
    read(word: string, column: string): string;
  };
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
  /** What is read along with a unit. */
  readonly beside?: BesideUnit;
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

/** Names the columns of a block, those beyond the last one being the last one. */
export const columnNames = (shape: DecodeShape, start: string, columns: number): string =>
  range(shape.columns).map((r) => `let column_${r} = min(${start} + ${r}u, ${Math.max(columns, 1) - 1}u);`)
    .join(" ");

export const declareSums = (shape: DecodeShape, rows: number, { sum, type }: DecodePhase): string =>
  range(shape.columns).flatMap((r) => range(rows).map((m) => `var ${sum}_${r}_${m} = ${type}(0);`)).join(" ");

/** Statements that multiply fetched units, one of each column, with all rows. */
function multiplyUnits(
  shape: DecodeShape,
  rows: number,
  phase: DecodePhase,
  unit: string,
  fetched: (r: number) => string,
  beside: (r: number) => string,
): string {
  const columns = range(shape.columns);
  const row = (m: number): string =>
    `{ ${phase.loadRow(m, "unit")} ${
      columns.map((r) => phase.multiply(r, m, `${phase.sum}_${r}_${m}`)).join("\n        ")
    } }`;
  return `{ let unit = ${unit};
        ${
    columns.map((r) => phase.expand(r, fetched(r), "unit", `column_${r}`, beside(r))).join("\n        ")
  }
        ${range(rows).map(row).join("\n        ")} }`;
}

/** Loads of each column in a phase. */
const loadsOf = ({ units }: DecodePhase): number[] => range(Math.ceil(units / 32));

/** Units that an invocation reads of all its columns. */
export function heldUnits(shape: DecodeShape, phases: readonly DecodePhase[]): number {
  return phases.reduce((sum, phase) => sum + loadsOf(phase).length, 0) * shape.columns;
}

/** Registers of words that a subgroup shares, by column and number. */
function eachShared(
  shape: DecodeShape,
  phases: readonly DecodePhase[],
  f: (name: string, shared: NonNullable<BesideUnit["shared"]>, r: number, i: number) => string,
): string {
  return phases.flatMap(({ beside }, p) => {
    const shared = beside?.shared;
    if (shared === undefined) return [];
    return range(Math.ceil(shared.count / 32)).flatMap((i) =>
      range(shape.columns).map((r) => f(`shared_${p}_${r}_${i}`, shared, r, i))
    );
  }).join(" ");
}

/** Reads the shared words of the columns. */
export function sharedFetches(shape: DecodeShape, phases: readonly DecodePhase[]): string {
  return eachShared(shape, phases, (name, { count, read }, r, i) => {
    const word = count >= 32 * (i + 1) ? `lane + ${32 * i}u` : `min(lane + ${32 * i}u, ${count - 1}u)`;
    return `${name} = ${read(`(${word})`, `column_${r}`)};`;
  });
}

/** Declares all units that an invocation holds, and what lies beside them. */
export function declareHeld(shape: DecodeShape, phases: readonly DecodePhase[]): string {
  const units = phases.flatMap((phase, p) =>
    loadsOf(phase).flatMap((u) =>
      range(shape.columns).map((r) => {
        const word = phase.beside && !phase.beside.shared ? ` var ${held(p, r, u)}_beside: u32;` : "";
        return `var ${held(p, r, u)}: vec4<u32>;${word}`;
      })
    )
  );
  return `${units.join(" ")} ${eachShared(shape, phases, (name) => `var ${name}: u32;`)}`;
}

const held = (p: number, r: number, u: number): string => `held_${p}_${r}_${u}`;

/** Reads all units of the columns. */
export function heldFetches(shape: DecodeShape, phases: readonly DecodePhase[]): string {
  const fetch = ({ right, units, beside }: DecodePhase, p: number, u: number, r: number): string => {
    const unit = units >= 32 * (u + 1) ? `lane + ${32 * u}u` : `min(lane + ${32 * u}u, ${units - 1}u)`;
    const name = held(p, r, u);
    const word = beside && !beside.shared
      ? ` ${name}_beside = ${beside.read(`(${unit})`, `column_${r}`)};`
      : "";
    return `${name} = ${right}[column_${r} * ${units}u + ${unit}];${word}`;
  };
  return phases.flatMap((phase, p) =>
    loadsOf(phase).flatMap((u) => range(shape.columns).map((r) => fetch(phase, p, u, r)))
  ).join("\n    ");
}

/** Multiplies what is held. */
export function heldProducts(shape: DecodeShape, rows: number, phases: readonly DecodePhase[]): string {
  const product = (phase: DecodePhase, p: number, u: number): string => {
    const shared = phase.beside?.shared;
    const first = (shared?.perLoad ?? 0) * u;
    const beside = (r: number): string => shared ? `beside_${r}` : `${held(p, r, u)}_beside`;
    const units = multiplyUnits(shape, rows, phase, `lane + ${32 * u}u`, (r) => held(p, r, u), beside);
    const inside = phase.units >= 32 * (u + 1) ? units : `if (lane + ${32 * u}u < ${phase.units}u) ${units}`;
    if (shared === undefined) return inside;
    // Before the condition: every invocation answers.
    const words = range(shape.columns).map((r) =>
      `let beside_${r} = subgroupShuffle(shared_${p}_${r}_${first >> 5}, ${shared.ofLane} + ${first & 31}u);`
    );
    return `{ ${words.join(" ")} ${inside} }`;
  };
  return phases.flatMap((phase, p) => loadsOf(phase).map((u) => product(phase, p, u))).join("\n      ");
}

/** Long rows: some units of each column at a time. */
export function streamedPhase(shape: DecodeShape, rows: number, phase: DecodePhase): string {
  const unroll = Math.max(1, Math.min(shape.unroll, Math.ceil(phase.units / 32)));
  const whole = phase.units % (32 * unroll) === 0;
  const fetched = (r: number, u: number): string => `fetched_${r}_${u}`;
  const fetch = (r: number, u: number): string => {
    const unit = whole ? `unit_${u}` : `min(unit_${u}, ${phase.units - 1}u)`;
    const word = phase.beside
      ? ` let ${fetched(r, u)}_beside = ${phase.beside.read(unit, `column_${r}`)};`
      : "";
    return `let ${fetched(r, u)} = ${phase.right}[column_${r} * ${phase.units}u + ${unit}];${word}`;
  };
  const product = (u: number): string => {
    const statements = multiplyUnits(
      shape,
      rows,
      phase,
      `unit_${u}`,
      (r) => fetched(r, u),
      (r) => `${fetched(r, u)}_beside`,
    );
    return whole ? statements : `if (unit_${u} < ${phase.units}u) ${statements}`;
  };
  return `      for (var start = lane; start < ${phase.units}u; start += ${32 * unroll}u) {
        ${range(unroll).map((u) => `let unit_${u} = start + ${32 * u}u;`).join(" ")}
        ${range(unroll).flatMap((u) => range(shape.columns).map((r) => fetch(r, u))).join("\n        ")}
        ${range(unroll).map(product).join("\n        ")}
      }`;
}
