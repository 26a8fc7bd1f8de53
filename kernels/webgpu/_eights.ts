// The order in which decode kernels keep x beside packed nibbles: eight values are two words, the even ones and the odd ones,
// as a word of the weight unpacks. Whoever makes the eight writes both as one vector, because WGSL lets a write of one
// component touch the whole vector.

/** Statements that put the unpacked nibbles of a unit of column `r` into that order: `w_r_0` and `w_r_1`, two eights each. */
export function unpackEights(r: number, even: string, odd: string): string {
  const two = (a: string, b: string): string =>
    `vec4<u32>(even_${r}.${a}, odd_${r}.${a}, even_${r}.${b}, odd_${r}.${b})`;
  return `let even_${r} = ${even}; let odd_${r} = ${odd};
        let w_${r}_0 = ${two("x", "y")}; let w_${r}_1 = ${two("z", "w")};`;
}
