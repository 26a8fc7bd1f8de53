// Scales of groups beside the units of 16 bytes that a decode kernel reads.
import { SCALE_BYTES } from "../_roles.ts";
import type { ScaleType } from "../specs.ts";
import type { BesideUnit } from "./_decode_loops.ts";
import { floatStorage } from "./_operands.ts";

/** How codes of a row are grouped. */
interface Groups {
  readonly inner: number;
  readonly groupSize: number;
}

const groupsOf = ({ inner, groupSize }: Groups): number => Math.ceil(inner / groupSize);

/** WGSL expression: the group of a unit of `codes` codes of a column, or of the code `offset` codes after its first. */
export function groupOfUnit(
  spec: Groups,
  codes: number,
  unit: string,
  column: string,
  offset = 0,
): string {
  const groups = groupsOf(spec);
  const first = offset === 0 ? `${unit} * ${codes}u` : `(${unit} * ${codes}u + ${offset}u)`;
  return `(${column} * ${groups}u + min(${first} / ${spec.groupSize}u, ${groups - 1}u))`;
}

/** The word of a binding, `scales` unless named, that holds the scale of a unit of `codes` codes, or of the first of its groups. */
export function unitScales(
  spec: Groups & { readonly scaleType: ScaleType; readonly buffer?: string },
  codes: number,
): BesideUnit {
  const { buffer = "scales" } = spec;
  const { binding, word } = floatStorage(spec.scaleType);
  const bytes = SCALE_BYTES[spec.scaleType];
  const count = groupsOf(spec) * bytes / 4;
  const perLoad = 32 * codes / spec.groupSize * bytes / 4;
  const load = (index: string): string =>
    binding === "array<f32>" ? `bitcast<u32>(${buffer}[${index}])` : `${buffer}[${index}]`;
  return {
    read: (unit, column) => word(buffer, groupOfUnit(spec, codes, unit, column)),
    ...(Number.isInteger(count) && perLoad >= 1 && 32 % perLoad === 0
      ? {
        shared: {
          count,
          perLoad,
          ofLane: `lane / ${32 / perLoad}u`,
          read: (word, column) => load(`${column} * ${count}u + ${word}`),
        },
      }
      : {}),
  };
}
