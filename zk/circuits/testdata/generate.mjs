// Recomputes vectors.json without any of our Go code, from the description in
// DESIGN.md and the permutation of the npm package @zkpassport/poseidon2 0.6.2:
//
//   npm install @zkpassport/poseidon2@0.6.2 && node generate.mjs > vectors.json
import { permute, poseidon2Hash } from "@zkpassport/poseidon2"
import { R, hash2, hex, merkle, sponge } from "./hashes.mjs"

function words(bits) {
  const out = []
  for (let start = 0; start < bits.length; start += 248)
    out.push(bits.slice(start, start + 248).reduce((sum, bit, i) => sum + (BigInt(bit) << BigInt(i)), 0n))
  return out
}
const commitBitmap = (salt, bits) => sponge(31n, [salt, ...words(bits)])

const big = R - 1n
const permutations = [[0n, 0n, 0n, 0n], [0n, 1n, 2n, 3n], [big, 1n << 200n, 7n, big]]
const sponges = [[0n], [1n, 2n], [1n, 2n, 3n], [1n, 2n, 3n, 4n], [big, 0n, 5n, 6n, 7n, 8n, 9n]]

// A shard of 256 leaves, so that a bitmap takes two words. Record i has the
// participant commitment hash2(11, 1000+i, 2000+i); every third is withdrawn,
// every seventh slot is empty; scope j is permitted when bit j of mask is set.
const shardSize = 256, from = 1700000000n, to = 1700086400n
const records = []
for (let i = 0; i < 250; i++) {
  const n = BigInt(i)
  if (i % 7 === 6) { records.push({ participant: 0n, mask: 0n, status: 0n, from: 0n, to: 0n }); continue }
  records.push({
    participant: hash2(11n, 1000n + n, 2000n + n),
    mask: (n * 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn,
    status: i % 3 === 2 ? 2n : 1n,
    from: from - 100n + n, // the last ones start too late
    to: to + 200n - n,     // and end too early
  })
}
const attributes = r => (r.status << 128n) | (r.mask << 64n) | (r.from << 32n) | r.to
const emptyLeaf = hash2(12n, 0n, 0n)
const leaves = records.map(r => hash2(12n, r.participant, attributes(r)))
while (leaves.length < shardSize) leaves.push(emptyLeaf)
const salts = Array.from({ length: 64 }, (_, j) => 5000n + BigInt(j))
const columns = salts.map((_, j) => Array.from({ length: shardSize }, (_, i) => {
  const r = records[i]
  return r && r.status === 1n && r.from <= from && r.to >= to ? Number((r.mask >> BigInt(j)) & 1n) : 0
}))
const matrixRoot = merkle(columns.map((bits, j) => commitBitmap(salts[j], bits)))
const emptyMatrix = merkle(salts.map(() => commitBitmap(0n, Array(shardSize).fill(0))))

const need = [3, 9] // slots: 3, 9, 9, 9
const used = columns[3].map((bit, i) => (bit && columns[9][i] ? i : -1)).filter(i => i >= 0)
const usedBits = Array.from({ length: shardSize }, (_, i) => (used.includes(i) ? 1 : 0))
const usedCommitment = commitBitmap(6000n, usedBits)
const emptyUsed = commitBitmap(0n, Array(shardSize).fill(0))

process.stdout.write(JSON.stringify({
  origin: "generate.mjs with @zkpassport/poseidon2 0.6.2",
  permutations: permutations.map(x => ({ in: x.map(hex), out: permute([...x]).map(hex) })),
  sponges: sponges.map(x => ({ in: x.map(hex), npm: hex(poseidon2Hash(x)), tagged: hex(sponge(31n, x)) })),
  emptyLeaf: hex(emptyLeaf),
  shard: {
    size: shardSize, from: Number(from), to: Number(to),
    records: records.map(r => ({
      participant: hex(r.participant), mask: r.mask.toString(16), status: Number(r.status), from: Number(r.from), to: Number(r.to),
    })),
    salts: salts.map(hex),
    firstLeaf: hex(leaves[0]),
    root: hex(merkle(leaves)), matrix: hex(matrixRoot),
  },
  access: {
    shards: 2, slots: 4, need, used, usedSalt: hex(6000n),
    scopes: need.concat([9, 9]).reduce((sum, s, k) => sum + s * 64 ** k, 0),
    usedCommitment: hex(usedCommitment),
    matrixDigest: hex(sponge(32n, [matrixRoot, emptyMatrix])),
    usedDigest: hex(sponge(33n, [usedCommitment, emptyUsed])),
  },
}, null, 1) + "\n")
