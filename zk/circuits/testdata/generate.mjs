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

// A table over the same shard: column 0 an arm, 1 an event, 2 days, 3 an age, 4 spare. Each is
// missing now and then. The question: events and days by arm, of those aged 18 to 65.
const cellOf = value => value === undefined ? 0n : (1n << 30n) + value
const columnsOfTable = [[2n, 11], [2n, 13], [4000n, 17], [90n, 19], [1n << 30n, 23]].map(([modulus, gap]) =>
  Array.from({ length: shardSize }, (_, i) => (i % gap === gap - 1 ? undefined : ((BigInt(i) + 7n) * 0x9e3779b97f4a7c15n) % modulus)))
const columnSalts = columnsOfTable.map((_, n) => 7000n + BigInt(n))
function cellWords(cells) {
  const out = []
  for (let start = 0; start < cells.length; start += 8)
    out.push(cells.slice(start, start + 8).reduce((sum, value, i) => sum + (cellOf(value) << BigInt(31 * i)), 0n))
  return out
}
const commitColumn = (salt, cells) => sponge(34n, [salt, ...cellWords(cells)])
const emptyColumn = commitColumn(0n, Array(shardSize).fill(undefined))
const columnCommitments = columnsOfTable.map((cells, n) => commitColumn(columnSalts[n], cells))
const dataRoot = merkle(columnCommitments.concat(Array(256 - columnCommitments.length).fill(emptyColumn)))

const plan = { group: 0n, values: [1n, 2n], conditions: [{ column: 3n, lo: 18n, hi: 65n }] }
const planPacked = plan.group | (plan.values[0] << 8n) | (plan.values[1] << 16n) | (plan.conditions[0].column << 24n) |
  (plan.conditions[0].lo << 32n) | (plan.conditions[0].hi << 62n)
const sums = Array.from({ length: 4 }, () => [0n, 0n, 0n])
for (const i of used) {
  const arm = columnsOfTable[0][i], age = columnsOfTable[3][i]
  if (arm === undefined || age === undefined || age < 18n || age > 65n) continue
  plan.values.forEach((column, v) => {
    const x = columnsOfTable[Number(column)][i], cell = sums[Number(arm) * 2 + v]
    if (x !== undefined) { cell[0] += 1n; cell[1] += x; cell[2] += x * x }
  })
}
const commitTotals = (salt, cells) => sponge(35n, [salt, ...cells.map(([n, sum, squares]) => n + (sum << 32n) + (squares << 96n))])
const totalsCommitment = commitTotals(7100n, sums)
const totalsDigest = sponge(36n, [totalsCommitment, commitTotals(0n, sums.map(() => [0n, 0n, 0n]))])

// Released: counts to 5, sums to 10, no squares; the last cell is withheld.
const queryHash = 7200n, releaseSalt = 7300n
const rounded = (x, unit) => (x + unit / 2n) / unit * unit
const digestReleased = cells => sponge(39n, [releaseSalt, ...cells.flat().map(x => add(x, R))])
const withheld = [3]
const units = [5n, 10n, 1n], shown = [true, true, false]
const termsWith = (min, scales) => {
  let packed = 0n, at = 0n
  const put = (v, bits) => { packed |= v << at; at += bits }
  put(min, 21n)
  units.forEach(u => put(u, 32n))
  shown.forEach(s => put(s ? 1n : 0n, 1n))
  scales.forEach(s => put(s, 3n))
  put(withheld.reduce((sum, i) => sum | (1n << BigInt(i)), 0n), 4n)
  return packed
}
const released = sums.map((cell, i) => cell.map((x, t) => (withheld.includes(i) || !shown[t] ? 0n : rounded(x, units[t]))))

// Noise. Thresholds are 2^48/(1 + exp(2^(i−7))) from the series of exp, in 200 binary digits.
const one = 1n << 200n
function exp(x) { // of a fixed-point number
  let sum = one, term = one
  for (let n = 1n; term > 0n; n++) { term = term * x / one / n; sum += term }
  return sum
}
const thresholds = Array.from({ length: 12 }, (_, i) => {
  const e = exp(one << BigInt(i) >> 7n)
  return ((one << 49n) / (one + e) + 1n) / 2n
})
const seed = 7400n
function noise(place, scale) {
  let draw = 0, sample = 0n
  for (const block of [0n, 1n]) {
    let state = permute([seed, queryHash, 2n * BigInt(place) + block, (3n << 64n) + 38n])
    for (const lane of state.slice(0, 3)) for (const u of [0n, 1n, 2n, 3n]) {
      const uniform = (lane >> (48n * u)) & ((1n << 48n) - 1n), power = (draw % 12) - 7 + scale
      if (power >= 0 && uniform < thresholds[draw % 12]) sample += (draw < 12 ? 1n : -1n) << BigInt(power)
      draw++
    }
  }
  return sample
}
const noiseScales = [2, 6, 0]
const noised = sums.map((cell, i) => cell.map((x, t) =>
  (withheld.includes(i) || !shown[t] ? 0n : rounded(x, units[t]) + units[t] * noise(3 * i + t, noiseScales[t]))))

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
  aggregate: {
    columns: columnsOfTable.map(cells => cells.map(x => Number(cellOf(x)))), salts: columnSalts.map(hex),
    commitments: columnCommitments.map(hex), data: hex(dataRoot),
    plan: hex(planPacked), sums: sums.map(cell => cell.map(Number)), salt: hex(7100n), totals: hex(totalsCommitment),
  },
  release: {
    queryHash: hex(queryHash), salt: hex(releaseSalt), totals: hex(totalsDigest),
    terms: hex(termsWith(2n, [])), figures: released.map(cell => cell.map(Number)), released: hex(digestReleased(released)),
    seed: hex(seed), seedCommitment: hex(hash2(37n, seed, 0n)), thresholds: thresholds.map(hex),
    noise: [0, 1, 2, 3, 4, 5, 6, 7].map(scale => Number(noise(scale, scale))),
    noisedTerms: hex(termsWith(0n, noiseScales.map(BigInt))), noisedFigures: noised.map(cell => cell.map(Number)), noised: hex(digestReleased(noised)),
  },
}, null, 1) + "\n")
