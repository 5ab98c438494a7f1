// The hashes of DESIGN.md over the permutation of the npm package
// @zkpassport/poseidon2 0.6.2, none of which is our Go code.
import { permute } from "@zkpassport/poseidon2"

export const R = 21888242871839275222246405745257275088548364400416034343698204186575808495617n
export const add = (a, b) => (a + b) % R
export const hex = x => x.toString(16).padStart(64, "0")

export const compress = x => add(permute([...x])[0], x[0])
export const hash2 = (tag, a, b) => compress([a, b, 0n, tag])
export function sponge(tag, xs) {
  let state = [0n, 0n, 0n, (BigInt(xs.length) << 64n) + tag]
  do {
    xs.slice(0, 3).forEach((x, i) => { state[i] = add(state[i], x) })
    state = permute(state)
    xs = xs.slice(3)
  } while (xs.length > 0)
  return state[0]
}
export function merkle(level) {
  while (level.length > 1) {
    const above = []
    for (let i = 0; i < level.length; i += 4) above.push(compress(level.slice(i, i + 4)))
    level = above
  }
  return level[0]
}
