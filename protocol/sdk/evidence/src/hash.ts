// The hashes of the circuits (zk/circuits/DESIGN.md), over a permutation that is not ours.

import { permute } from "@zkpassport/poseidon2";

/** The order of the group, and of the field in which circuits compute. */
export const order = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;

const add = (a: bigint, b: bigint): bigint => (a + b) % order;

const permuted = (state: bigint[]): bigint[] => permute(state as [bigint, bigint, bigint, bigint]);

const compress = (children: bigint[]): bigint => add(permuted([...children])[0] as bigint, children[0] as bigint);

function sponge(tag: bigint, inputs: bigint[]): bigint {
  let state = [0n, 0n, 0n, (BigInt(inputs.length) << 64n) + tag];
  for (let at = 0; at === 0 || at < inputs.length; at += 3) {
    inputs.slice(at, at + 3).forEach((x, i) => (state[i] = add(state[i] as bigint, x)));
    state = permuted(state);
  }
  return state[0] as bigint;
}

function merkle(level: bigint[]): bigint {
  while (level.length > 1) {
    level = Array.from({ length: level.length / 4 }, (_, i) => compress(level.slice(4 * i, 4 * i + 4)));
  }
  return level[0] as bigint;
}

const bitmapTag = 31n;
const matrixDigestTag = 32n;
const scopes = 64;
const wordBits = 248;

/** emptyMatrix is the root of the bitmaps of a shard in which nobody is. */
function emptyMatrix(shardSize: number): bigint {
  const words = Array<bigint>(Math.ceil(shardSize / wordBits)).fill(0n);
  return merkle(Array<bigint>(scopes).fill(sponge(bitmapTag, [0n, ...words])));
}

/** matrixDigest is the digest of the matrix roots of an epoch, filled up to the shards of a circuit. */
export function matrixDigest(shardSize: number, shards: number, roots: bigint[]): bigint {
  if (roots.length > shards) throw new Error(`the circuit has ${shards} shards`);
  const empty = roots.length < shards ? emptyMatrix(shardSize) : 0n;
  return sponge(matrixDigestTag, [...roots, ...Array<bigint>(shards - roots.length).fill(empty)]);
}
