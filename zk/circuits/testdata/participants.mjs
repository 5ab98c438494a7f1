// Recomputes participants.json without any of our Go code, from the description
// in DESIGN.md. Signatures are made here, on the curve as @noble/curves 2.4.0
// computes with it, so that our check of them is not the one that made them:
//
//   npm install @zkpassport/poseidon2@0.6.2 @noble/curves@2.4.0 && node participants.mjs > participants.json
import { edwards } from "@noble/curves/abstract/edwards.js"
import { R, hash2, hex, merkle, sponge } from "./hashes.mjs"

const order = 2736030358979909402780800718157159386076813972158567259200215660948447373041n
const curve = edwards({
  p: R, n: order, h: 8n, a: R - 1n,
  d: 12181644023421730124874158521699555681764249180949974110617291017600649128846n,
  Gx: 9671717474070082183213120605117400219616337014328744928644933853176787189663n,
  Gy: 16950150798460657717958625567821834550301663161624707787222815936182638968203n,
})
function key(scalar) {
  const a = curve.BASE.multiply(scalar).toAffine()
  return { ...a, json: { x: hex(a.x), y: hex(a.y) }, sign(message) {
    const nonce = scalar * 7919n + message % 1000003n
    const r = curve.BASE.multiply(nonce).toAffine()
    const h = sponge(51n, [r.x, r.y, a.x, a.y, message])
    return { rx: hex(r.x), ry: hex(r.y), s: hex((nonce + h * scalar) % order) }
  } }
}

// The identity secret of an output of 64 bytes, 0 to 63, halves cut to 31 bytes.
const output = Array.from({ length: 64 }, (_, i) => i)
const half = bytes => bytes.slice(0, 31).reduce((sum, b) => (sum << 8n) + BigInt(b), 0n)
const secret = hash2(50n, half(output), half(output.slice(32)))
const trial = 700n, nullifier = hash2(13n, secret, trial)

// The consent is in slot 2 of the second of two shards of four.
const blind = 701n, time = 1700000000n
const attributes = (mask, from, to) => (1n << 128n) | (mask << 64n) | (from << 32n) | to
const granted = attributes(5n, time - 10n, time + 10n)
const empty = hash2(12n, 0n, 0n)
const leaf = hash2(12n, hash2(11n, secret, blind), granted)
const shards = [merkle([801n, empty, empty, empty]), merkle([802n, 803n, leaf, empty])]
const emptyShard = merkle([empty, empty, empty, empty])
const root = merkle([...shards, emptyShard, emptyShard])

// A credential of the second of two issuers.
const issuers = [key(1001n), key(1002n)], salt = 702n
const day = (y, m, d) => BigInt((Date.UTC(y, m - 1, d) - Date.UTC(1800, 0, 1)) / 86400000)
const today = day(2026, 11, 23)
const code = 703n, born = day(1980, 2, 29), value = (1n << 39n) + 900n, measured = today - 80n, expires = today + 1n
const holder = hash2(52n, secret, salt)
const credential = sponge(21n, [holder, born, code, value, measured, expires])
// 18 to 75 years of age; 0.5 to 1.2, not more than 80 days old.
const first = day(1950, 11, 24), last = day(2008, 11, 23)
const criterion = sponge(54n, [code, (1n << 39n) + 500n, (1n << 39n) + 1200n, first, last, today - 80n])

// A quiz of three questions, two of them answered rightly.
const signer = key(1003n), signerSalt = 704n, keySalt = 705n, document = 706n
const pack = answers => answers.reduce((sum, a, i) => sum + (BigInt(a) << BigInt(4 * i)), 0n)
const answers = [1, 2, 15], right = [1, 3, 15]
const answerKey = hash2(57n, keySalt, pack(right))
const quizLeaf = hash2(12n, hash2(11n, secret, sponge(55n, [signer.x, signer.y, signerSalt])), granted)

// 30 of 100 packs from the first of two keepers to the second.
const keepers = [key(1004n), key(1005n)].map(k => ({ ...k, leaf: hash2(62n, k.x, k.y) }))
const lot = 707n, serial = 708n
const note = (quantity, keeper, time, salt) => sponge(59n, [lot, serial, quantity, keeper.leaf, time, salt])
const spent = note(100n, keepers[0], time, 709n)
const given = note(30n, keepers[1], time + 60n, 710n), kept = note(70n, keepers[0], time + 60n, 711n)
const spentNullifier = hash2(60n, 709n, spent)
const readings = [800n, -50n].reduce((sum, t, i) => sum + ((t + 32768n) << BigInt(16 * i)), 0n)
const handover = sponge(61n, [spentNullifier, given, kept, time + 60n, readings])

process.stdout.write(JSON.stringify({
  origin: "participants.mjs with @zkpassport/poseidon2 0.6.2 and @noble/curves 2.4.0",
  secret: hex(secret),
  enrollment: {
    blind: hex(blind), mask: 5, from: Number(time) - 10, to: Number(time) + 10, shardRoots: shards.map(hex), shard: [802n, 803n, leaf].map(hex),
    public: { root: hex(root), trial: hex(trial), nullifier: hex(nullifier), signal: hex(712n), time: Number(time) },
  },
  eligibility: {
    salt: hex(salt), code: hex(code), issuers: issuers.map(k => k.json), signature: issuers[1].sign(credential),
    born: Number(born), value: 900, measured: Number(measured), expires: Number(expires),
    public: {
      issuers: hex(merkle([...issuers.map(k => hash2(53n, k.x, k.y)), 0n, 0n])),
      trial: hex(trial), nullifier: hex(nullifier), criterion: hex(criterion), day: Number(today),
    },
  },
  quiz: {
    signer: signer.json, signerSalt: hex(signerSalt), answerKeySalt: hex(keySalt), answers, right,
    signature: signer.sign(sponge(56n, [document, answerKey, pack(answers), granted, time])),
    public: {
      document: hex(document), answerKey: hex(answerKey), passMark: 2, time: Number(time),
      nullifier: hex(hash2(58n, secret, document)), consentLeaf: hex(quizLeaf),
    },
  },
  custody: {
    lot: hex(lot), serial: hex(serial), keepers: keepers.map(k => k.json), salts: [709n, 710n, 711n].map(hex), temperatures: [800, -50],
    gave: keepers[0].sign(handover), took: keepers[1].sign(handover),
    public: {
      keepers: hex(merkle([...keepers.map(k => k.leaf), 0n, 0n])), notes: hex(merkle([spent, 0n, 0n, 0n])),
      nullifier: hex(spentNullifier), given: hex(given), kept: hex(kept), time: Number(time) + 60, low: -50, high: 800,
    },
  },
}, null, 1) + "\n")
