package circuits

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/poseidon2"
)

// Tag separates the uses of the hash: a value made for one use never equals a
// value made for another. Tags are appended and never reused, in any circuit.
type Tag uint64

// The tags.
const (
	TagParticipant  Tag = 11 // participant and blind → participant commitment
	TagLeaf         Tag = 12 // participant commitment and attributes → consent leaf
	TagNullifier    Tag = 13 // identity secret and trial → nullifier of an enrollment
	TagCredential   Tag = 21 // what a credential says → what its issuer signs
	TagBitmap       Tag = 31 // salt and packed bits → bitmap commitment
	TagMatrixDigest Tag = 32 // matrix roots of one access proof → digest
	TagUsedDigest   Tag = 33 // used-bitmap commitments of one access proof → digest
	TagColumn       Tag = 34 // salt and packed cells → column commitment
	TagTotals       Tag = 35 // salt and packed totals of one shard → totals commitment
	TagTotalsDigest Tag = 36 // totals commitments of one release proof → digest
	TagSeed         Tag = 37 // noise seed → seed commitment
	TagNoise        Tag = 38 // noise seed, query hash and place → uniform bits
	TagRelease      Tag = 39 // salt and released figures → digest

	TagIdentity      Tag = 50 // both halves of an oblivious output → identity secret
	TagSignature     Tag = 51 // R, public key and message → challenge of a signature
	TagHolder        Tag = 52 // identity secret and salt → the holder a credential names
	TagIssuer        Tag = 53 // public key → leaf of the set of issuers
	TagCriterion     Tag = 54 // bounds of a criterion on one day → digest
	TagSigner        Tag = 55 // public key and salt → blind of a participant commitment
	TagAnswers       Tag = 56 // document, quiz, answers, attributes, time → what a participant signs
	TagAnswerKey     Tag = 57 // salt and right answers → commitment
	TagQuizNullifier Tag = 58 // identity secret and document → nullifier of a quiz
	TagNote          Tag = 59 // content of a note → note
	TagNoteNullifier Tag = 60 // salt and note → nullifier of a hand-over
	TagHandover      Tag = 61 // what both sides of a hand-over sign
	TagKeeper        Tag = 62 // public key → keeper, and leaf of the set of keepers
)

// Parameters of the permutation. The library's defaults (width 2, 6+50 rounds)
// are below the published security bounds and have constants of its own making;
// width 4 with 8+56 rounds has those of the reference implementation.
const (
	width         = 4
	fullRounds    = 8
	partialRounds = 56
)

// permutation is never written after it is made and safe for concurrent use.
var permutation = poseidon2.NewPermutation(width, fullRounds, partialRounds)

func permute(state *[width]fr.Element) {
	if err := permutation.Permutation(state[:]); err != nil {
		panic("circuits: " + err.Error()) // only a wrong width can fail
	}
}

// compress maps four elements to one: P(x)[0] + x[0], the compression mode of
// the Poseidon2 paper (eprint 2023/323, section 3).
func compress(x [width]fr.Element) fr.Element {
	first := x[0]
	permute(&x)
	x[0].Add(&x[0], &first)
	return x[0]
}

// hash2 is compress(a, b, 0, tag).
func hash2(tag Tag, a, b fr.Element) fr.Element {
	var t fr.Element
	t.SetUint64(uint64(tag))
	return compress([width]fr.Element{a, b, {}, t})
}

// sponge absorbs xs three at a time. The capacity lane starts as
// len(xs)·2^64 + tag, so neither another length nor another use collides. With
// tag 0 this is poseidon2Hash of the npm package @zkpassport/poseidon2.
func sponge(tag Tag, xs []fr.Element) fr.Element { return spongeState(tag, xs)[0] }

// spongeState returns all lanes. The first three may be used, the last is what
// keeps the rest of the stream from being computed from them.
func spongeState(tag Tag, xs []fr.Element) [width]fr.Element {
	var state [width]fr.Element
	state[3] = capacity(tag, len(xs))
	for len(xs) > 3 {
		absorb(&state, xs[:3])
		permute(&state)
		xs = xs[3:]
	}
	absorb(&state, xs)
	permute(&state)
	return state
}

func absorb(state *[width]fr.Element, xs []fr.Element) {
	for i := range xs {
		state[i].Add(&state[i], &xs[i])
	}
}

// capacity returns n·2^64 + tag.
func capacity(tag Tag, n int) fr.Element {
	var iv, shift, t fr.Element
	shift.SetUint64(1 << 32)
	shift.Square(&shift)
	iv.SetUint64(uint64(n))
	iv.Mul(&iv, &shift)
	t.SetUint64(uint64(tag))
	return *iv.Add(&iv, &t)
}

// merkleRoot folds leaves, a power of four of them, four at a time. Nodes carry
// no tag: all four lanes hold children. Depth is fixed by the shape, so a node
// cannot pass for a leaf.
func merkleRoot(leaves []fr.Element) fr.Element {
	level := append([]fr.Element(nil), leaves...)
	for len(level) > 1 {
		for i := range len(level) / 4 {
			level[i] = compress([width]fr.Element(level[4*i : 4*i+4]))
		}
		level = level[:len(level)/4]
	}
	return level[0]
}
