package circuits

import (
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

// AccessPublic is what everybody sees of an access proof: every record used for
// the question QueryHash permitted all of Scopes, according to the matrices
// under MatrixDigest, and at least Min records were used. A cover proof states
// the same and that every record which permits them was used.
type AccessPublic struct {
	// MatrixDigest is [MatrixDigest] of the matrix roots proved by epochs.
	MatrixDigest Element `json:"matrixDigest"`

	// UsedDigest is [UsedDigest] of the salted commitments to the records used.
	UsedDigest Element `json:"usedDigest"`

	// QueryHash is the hash of the question (query.Venue.Hash); it makes the proof good for one question only.
	QueryHash Element `json:"queryHash"`

	Scopes PackedScopes `json:"scopes"`

	// Min is a lower bound of the number of records used. The number itself stays
	// inside UsedDigest: two exact counts could be subtracted.
	Min uint32 `json:"min"`
}

// Words returns the public inputs in circuit order: matrix digest, used digest,
// query hash, scopes, min.
func (p AccessPublic) Words() []Element {
	return []Element{p.MatrixDigest, p.UsedDigest, p.QueryHash, uintElement(uint64(p.Scopes)), uintElement(uint64(p.Min))}
}

// PackedScopes lists the scopes a question needs, 6 bits each, lowest first.
type PackedScopes uint64

// PackScopes packs the members of need in ascending order and repeats the last
// to fill the slots, so that one set of scopes has one encoding.
func PackScopes(need consent.Mask, slots int) (PackedScopes, error) {
	members := need.Scopes()
	if len(members) == 0 || len(members) > slots || slots > MaxSlots {
		return 0, fmt.Errorf("scopes: %d needed, 1 to %d can be", len(members), min(slots, MaxSlots))
	}
	var packed PackedScopes
	for k := range slots {
		packed |= PackedScopes(members[min(k, len(members)-1)]) << (scopeBits * k)
	}
	return packed, nil
}

func (p PackedScopes) at(slot int) consent.Scope {
	return consent.Scope(p >> (scopeBits * slot) & (scopes - 1))
}

// AccessWitness is a node's private view of one answer. It neither prints nor
// marshals.
type AccessWitness struct {
	// Shards lists the shards in ledger order, at most as many as the shape has.
	Shards []ShardUse

	// Need are the scopes the question needs.
	Need consent.Mask

	// Min is the published lower bound of the number of records used.
	Min uint32

	// QueryHash is the hash of the question (query.Venue.Hash), 248 bits.
	QueryHash Element
}

// ShardUse says which records of one shard an answer used.
type ShardUse struct {
	// Epoch is the witness of the epoch proof whose matrix root is on the ledger.
	Epoch EpochWitness

	// Used lists the slots of the records used, ascending. For a cover they are all
	// that are permitted.
	Used []int

	// Salt hides Used in its commitment: fresh for each question and shard.
	Salt Element
}

// Format hides the witness from logs.
func (AccessWitness) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "access witness:redacted") }

// MarshalJSON refuses.
func (AccessWitness) MarshalJSON() ([]byte, error) {
	return nil, errors.New("circuits: an access witness must not leave the node")
}

// Format hides the records from logs.
func (ShardUse) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "shard use:redacted") }

// MarshalJSON refuses.
func (ShardUse) MarshalJSON() ([]byte, error) {
	return nil, errors.New("circuits: the records used must not leave the node")
}

// openShard is one shard of an access witness after checking.
type openShard struct {
	matrix *matrix
	used   []bool
	salt   fr.Element
}

// Public checks the witness and computes what its proof will state, without
// proving. Errors name a record by shard and slot, never by a value.
func (w AccessWitness) Public(c Circuit) (AccessPublic, error) {
	public, _, err := w.open(c)
	return public, err
}

// Commitment checks the witness and returns the UsedDigest of what its proof will state.
// It is what an answer says, a fiftieth of the work of [AccessWitness.Public].
func (w AccessWitness) Commitment(c Circuit) (Element, error) {
	public, _, err := w.check(c)
	return public.UsedDigest, err
}

func (w AccessWitness) open(c Circuit) (AccessPublic, []openShard, error) {
	public, shards, err := w.check(c)
	if err != nil {
		return public, nil, err
	}
	roots := make([]fr.Element, len(shards))
	for k := range shards {
		roots[k] = shards[k].matrix.hash().root()
	}
	public.MatrixDigest = fromField(sponge(TagMatrixDigest, roots))
	return public, shards, nil
}

// check is open without the matrices' hashes.
func (w AccessWitness) check(c Circuit) (AccessPublic, []openShard, error) {
	public := AccessPublic{QueryHash: w.QueryHash, Min: w.Min}
	if !c.IsAccess() && !c.IsCover() {
		return public, nil, fmt.Errorf("access: circuit %s is of the other kind", c)
	}
	if err := c.Validate(); err != nil {
		return public, nil, fmt.Errorf("access: %w", err)
	}
	var err error
	if public.Scopes, err = PackScopes(w.Need, c.shape.Slots); err != nil {
		return public, nil, fmt.Errorf("access: %w", err)
	}
	if w.QueryHash[0] != 0 {
		return public, nil, errors.New("access: query hash has more than 248 bits")
	}
	if len(w.Shards) > c.shape.Shards {
		return public, nil, fmt.Errorf("access: %d shards, the circuit has %d", len(w.Shards), c.shape.Shards)
	}
	shards := make([]openShard, c.shape.Shards)
	commitments := make([]fr.Element, len(shards))
	var count int
	for k := range shards {
		if shards[k], err = w.openShard(c.shape.ShardSize, k); err != nil {
			return public, nil, fmt.Errorf("access: shard %d: %w", k, err)
		}
		if c.IsCover() {
			if err := shards[k].complete(public.Scopes, c.shape.Slots); err != nil {
				return public, nil, fmt.Errorf("access: shard %d: %w", k, err)
			}
		}
		commitments[k] = commitBitmap(shards[k].salt, shards[k].used)
		for _, used := range shards[k].used {
			if used {
				count++
			}
		}
	}
	if count < int(w.Min) {
		return public, nil, errors.New("access: fewer records were used than the minimum to be stated")
	}
	public.UsedDigest = fromField(sponge(TagUsedDigest, commitments))
	return public, shards, nil
}

// openShard checks shard k; beyond the list it is the empty shard.
func (w AccessWitness) openShard(shardSize, k int) (openShard, error) {
	if k >= len(w.Shards) {
		return openShard{newMatrix(shardSize, nil, Window{}, [scopes]fr.Element{}), make([]bool, shardSize), fr.Element{}}, nil
	}
	use := w.Shards[k]
	m, err := use.Epoch.matrix(shardSize)
	if err != nil {
		return openShard{}, err
	}
	salt, err := toField(use.Salt)
	if err != nil {
		return openShard{}, fmt.Errorf("salt: %w", err)
	}
	if salt.IsZero() {
		return openShard{}, errors.New("salt is missing")
	}
	used, err := usedBitmap(shardSize, use.Used)
	if err != nil {
		return openShard{}, err
	}
	for _, i := range use.Used {
		for rest := uint64(w.Need); rest != 0; rest &= rest - 1 {
			if scope := bits.TrailingZeros64(rest); !m.bitmaps[scope][i] {
				return openShard{}, fmt.Errorf("record %d: used without a consent in force for scope %d", i, scope)
			}
		}
	}
	return openShard{m, used, salt}, nil
}

// complete reports the first record that permits all scopes and was not used.
func (s openShard) complete(scopes PackedScopes, slots int) error {
	for i, used := range s.used {
		permitted := true
		for slot := range slots {
			permitted = permitted && s.matrix.bitmaps[scopes.at(slot)][i]
		}
		if permitted && !used {
			return fmt.Errorf("record %d: permitted but not used", i)
		}
	}
	return nil
}

// Assign returns the witness as values for the circuit c, and what the proof
// will state. It fails on what [AccessWitness.Public] fails on.
func (w AccessWitness) Assign(c Circuit) (frontend.Circuit, AccessPublic, error) {
	public, shards, err := w.open(c)
	if err != nil {
		return nil, public, err
	}
	a := newCoverCircuit(c.shape)
	if c.IsAccess() {
		a = newAccessCircuit(c.shape)
	}
	a.MatrixDigest, a.UsedDigest = public.MatrixDigest[:], public.UsedDigest[:]
	a.QueryHash, a.Scopes, a.Min = public.QueryHash[:], uint64(public.Scopes), public.Min
	for k, shard := range shards {
		assigned := &a.Shards[k]
		assigned.Salt = shard.salt
		if c.IsAccess() {
			assignBits(assigned.Used, shard.used)
		}
		for s := range assigned.Columns {
			scope, column := public.Scopes.at(s), &assigned.Columns[s]
			column.Salt = shard.matrix.salts[scope]
			assignBits(column.Bits, shard.matrix.bitmaps[scope])
			for l, children := range shard.matrix.siblings(scope) {
				for i, child := range children {
					column.Path[l][i] = child
				}
			}
		}
	}
	return a, public, nil
}

func assignBits(dst []frontend.Variable, src []bool) {
	for i, set := range src {
		dst[i] = 0
		if set {
			dst[i] = 1
		}
	}
}
