// WGSL lets a write of one component touch the whole vector, so that invocations which fill a vector in memory together
// lose each other's writes where an implementation makes use of that. No shader may rely on it.
import { assertEquals, assertGreater } from "@std/assert";
import { specKey } from "../../kernels/mod.ts";
import { variantsFor } from "../../kernels/webgpu/registry.ts";
import { conformanceCases } from "./_cases.ts";
import { DEFAULT_DEVICE, MATRIX_DEVICE } from "./_devices.ts";

/** The end of what a bracket at `start` opens. */
function closing(text: string, start: number): number {
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    if (text[i] === "[") depth++;
    if (text[i] === "]" && --depth === 0) return i + 1;
  }
  return text.length;
}

/** Statements that write one component of a vector that lies in an array in memory. */
function componentWrites(wgsl: string): string[] {
  const vectors = [...wgsl.matchAll(/var<(?:workgroup|storage, read_write)> (\w+): array<vec[234]</g)];
  return vectors.flatMap(([, name]) =>
    [...wgsl.matchAll(new RegExp(`\\b${name}\\[`, "g"))].flatMap(({ index }) => {
      const after = closing(wgsl, index + name.length);
      const component = wgsl[after] === "["
        ? closing(wgsl, after)
        : after + (/^\.\w+/.exec(wgsl.slice(after, after + 8))?.[0].length ?? 0);
      if (component === after || !/^\s*(([-+*/|&^]|<<|>>)?=[^=]|\+\+|--)/.test(wgsl.slice(component))) {
        return [];
      }
      return [wgsl.slice(index, wgsl.indexOf(";", component))];
    })
  );
}

Deno.test("a write of a component is recognized", () => {
  const wgsl = `var<workgroup> a: array<vec4<u32>, 8>;
    a[i[0]] = v; b = a[i][1]; a[i][j[2] % 4u] = 1u; a[i].x += 1u; a[i].w++; if (a[i].y == 2u) {}`;
  assertEquals(componentWrites(wgsl), ["a[i][j[2] % 4u] = 1u", "a[i].x += 1u", "a[i].w++"]);
});

Deno.test("no shader writes one component of a vector in memory", () => {
  let shaders = 0;
  const found = new Set<string>();
  for (const { spec } of conformanceCases()) {
    for (const device of [DEFAULT_DEVICE, MATRIX_DEVICE]) {
      for (const variant of variantsFor(spec, device)) {
        for (const { wgsl } of variant.generate(spec, device).passes) {
          shaders++;
          for (const write of componentWrites(wgsl)) {
            found.add(`${variant.name} of ${specKey(spec)}: ${write}`);
          }
        }
      }
    }
  }
  assertGreater(shaders, 1000);
  assertEquals([...found], []);
});
