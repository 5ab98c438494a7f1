package circuits

import (
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
)

// ReleasePublic is what everybody sees of a release proof: the figures inside
// Released are the totals inside Totals, added over the shards and passed through
// Terms, with noise from the seed inside Seed if there is one.
type ReleasePublic struct {
	// Totals is [TotalsDigest] of the totals commitments proved by aggregates.
	Totals Element `json:"totals"`

	// QueryHash is the hash of the question (query.Venue.Hash). Noise depends on it.
	QueryHash Element `json:"queryHash"`

	// Terms is [PackTerms] of the terms.
	Terms Element `json:"terms"`

	// Released is [ReleaseDigest] of the released figures.
	Released Element `json:"released"`

	// Seed is [SeedCommitment] of the noise's seed, on the ledger before the
	// question; nil without noise.
	Seed *Element `json:"seed,omitempty"`
}

// Words returns the public inputs in circuit order: totals, query hash, terms,
// released and, with noise, seed.
func (p ReleasePublic) Words() []Element {
	words := []Element{p.Totals, p.QueryHash, p.Terms, p.Released}
	if p.Seed != nil {
		words = append(words, *p.Seed)
	}
	return words
}

// Terms say what may be released, and how coarse.
type Terms struct {
	// MinCount is the fewest records a cell must have to be released, below 2^21.
	// With noise it should be 0: a threshold on the exact count has no bounded privacy loss.
	MinCount uint32

	Count, Sum, Squares Rule

	// Withheld has bit i set if cell i is not released: too small, or so that a
	// small one cannot be computed from it. It is public, as what is missing is.
	Withheld uint64
}

// Rule says how one figure of every cell is released.
type Rule struct {
	// Unit is what the figure is rounded to a multiple of, half up. 1 is exact, 0
	// does not release the figure.
	Unit uint32

	// Scale is the noise's: discrete Laplace of scale 2^Scale units, 0 to 7. It is 0
	// without noise.
	Scale uint8
}

// Bits of packed terms, lowest first: minimum, units, which figures are released,
// scales if there is noise, and the withheld cells.
const (
	unitBits  = 32
	scaleBits = 3
	scales    = 1 << scaleBits
)

func (t Tally) termsBits(noise bool) int {
	bits := countBits + statistics*(unitBits+1) + t.Cells()
	if noise {
		bits += statistics * scaleBits
	}
	return bits
}

func (t Terms) rules() [statistics]Rule { return [statistics]Rule{t.Count, t.Sum, t.Squares} }

// withholds reports whether a cell is not released.
func (t Terms) withholds(cell int) bool { return t.Withheld>>cell&1 == 1 }

// PackTerms packs terms for a circuit. Hub and auditors compute it from the trial's policy
// and from the cells withheld. A figure that is not released packs as unit 1.
func PackTerms(c Circuit, t Terms) (Element, error) {
	x, err := t.pack(c)
	return fromField(x), err
}

func (t Terms) pack(c Circuit) (fr.Element, error) {
	var x fr.Element
	if !c.IsRelease() {
		return x, fmt.Errorf("terms: circuit %s is of another kind", c)
	}
	if err := c.Validate(); err != nil {
		return x, fmt.Errorf("terms: %w", err)
	}
	if t.MinCount >= 1<<countBits {
		return x, fmt.Errorf("terms: the minimum has more than %d bits", countBits)
	}
	if c.tally.Cells() < MaxCells && t.Withheld>>c.tally.Cells() != 0 {
		return x, fmt.Errorf("terms: a cell is withheld that is not among the %d", c.tally.Cells())
	}
	packed, at := new(big.Int), uint(0)
	put := func(v uint64, bits uint) {
		packed.Or(packed, new(big.Int).Lsh(new(big.Int).SetUint64(v), at))
		at += bits
	}
	put(uint64(t.MinCount), countBits)
	for _, rule := range t.rules() {
		put(uint64(max(rule.Unit, 1)), unitBits)
	}
	for _, rule := range t.rules() {
		put(uint64(min(rule.Unit, 1)), 1)
	}
	for _, rule := range t.rules() {
		switch {
		case c.kind == noiseKind && rule.Scale < scales:
			put(uint64(rule.Scale), scaleBits)
		case rule.Scale != 0:
			return x, fmt.Errorf("terms: scale %d: it is 0 to %d, and 0 without noise", rule.Scale, scales-1)
		}
	}
	put(t.Withheld, uint(c.tally.Cells()))
	x.SetBigInt(packed)
	return x, nil
}

// ShardTotals opens the totals commitment of one aggregate proof. It neither prints
// nor marshals.
type ShardTotals struct {
	Sums []Sums  // [AggregateWitness.Sums]
	Salt Element // of the AggregateWitness
}

// Format hides the totals from logs.
func (ShardTotals) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "shard totals:redacted") }

// MarshalJSON refuses.
func (ShardTotals) MarshalJSON() ([]byte, error) {
	return nil, errors.New("circuits: exact totals must not leave the node")
}

// ReleaseWitness is a node's private view of a release. It neither prints nor marshals.
type ReleaseWitness struct {
	// Shards lists the shards in ledger order, at most as many as the circuit has.
	Shards []ShardTotals

	Terms Terms

	// QueryHash is the hash of the question (query.Venue.Hash), 248 bits.
	QueryHash Element

	// Salt hides the released figures in their digest. It is 0 when they are public.
	Salt Element

	// Seed is what noise comes from; it is zero without noise.
	Seed Element
}

// Format hides the witness from logs.
func (ReleaseWitness) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "release witness:redacted")
}

// MarshalJSON refuses.
func (ReleaseWitness) MarshalJSON() ([]byte, error) {
	return nil, errors.New("circuits: a release witness must not leave the node")
}

// openRelease is a release witness after checking.
type openRelease struct {
	shards     []openTotals
	quotients  [][statistics]*big.Int // rounded totals in units
	released   []Sums
	salt, seed fr.Element
}

type openTotals struct {
	packed []fr.Element
	salt   fr.Element
}

// Public checks the witness and computes what its proof will state, without
// proving. Errors name a cell by its number, never by a value.
func (w ReleaseWitness) Public(c Circuit) (ReleasePublic, error) {
	public, _, err := w.open(c)
	return public, err
}

// Released returns the figures to release. Those of withheld cells and of figures
// that the terms do not release are 0.
func (w ReleaseWitness) Released(c Circuit) ([]Sums, error) {
	_, open, err := w.open(c)
	return open.released, err
}

func (w ReleaseWitness) open(c Circuit) (ReleasePublic, openRelease, error) {
	public := ReleasePublic{QueryHash: w.QueryHash}
	var open openRelease
	terms, err := w.Terms.pack(c)
	if err != nil {
		return public, open, fmt.Errorf("release: %w", err)
	}
	if w.QueryHash[0] != 0 {
		return public, open, errors.New("release: query hash has more than 248 bits")
	}
	if open.salt, err = toField(w.Salt); err != nil {
		return public, open, fmt.Errorf("release: salt: %w", err)
	}
	if open.seed, err = toField(w.Seed); err != nil {
		return public, open, fmt.Errorf("release: seed: %w", err)
	}
	if open.seed.IsZero() != (c.kind == releaseKind) {
		return public, open, errors.New("release: there must be a seed if and only if there is noise")
	}
	if len(w.Shards) > c.tally.Shards {
		return public, open, fmt.Errorf("release: %d shards, the circuit has %d", len(w.Shards), c.tally.Shards)
	}
	totals := newSums(c.tally.Cells())
	commitments := make([]fr.Element, c.tally.Shards)
	for k := range commitments {
		shard, err := w.openShard(c.tally.Cells(), k, totals)
		if err != nil {
			return public, open, fmt.Errorf("release: shard %d: %w", k, err)
		}
		open.shards = append(open.shards, shard)
		commitments[k] = commitTotals(shard.salt, shard.packed)
	}
	if err := open.apply(w.Terms, w.QueryHash, totals); err != nil {
		return public, open, fmt.Errorf("release: %w", err)
	}
	public.Totals = fromField(sponge(TagTotalsDigest, commitments))
	public.Terms = fromField(terms)
	public.Released = fromField(digestReleased(open.salt, open.released))
	if c.kind == noiseKind {
		seed := fromField(hash2(TagSeed, open.seed, fr.Element{}))
		public.Seed = &seed
	}
	return public, open, nil
}

// openShard checks shard k and adds its totals; beyond the list it is the empty shard.
func (w ReleaseWitness) openShard(cells, k int, totals []Sums) (openTotals, error) {
	if k >= len(w.Shards) {
		return openTotals{packed: make([]fr.Element, cells)}, nil
	}
	shard := w.Shards[k]
	if len(shard.Sums) != cells {
		return openTotals{}, fmt.Errorf("%d cells, the circuit has %d", len(shard.Sums), cells)
	}
	packed, err := packSums(shard.Sums)
	if err != nil {
		return openTotals{}, err
	}
	for i, sums := range shard.Sums {
		for t, total := range totals[i].figures() {
			total.Add(total, sums.figures()[t])
		}
	}
	salt, err := toField(shard.Salt)
	if err != nil {
		return openTotals{}, fmt.Errorf("salt: %w", err)
	}
	if salt.IsZero() {
		return openTotals{}, errors.New("salt is missing")
	}
	return openTotals{packed, salt}, nil
}

// apply passes the totals through the terms.
func (o *openRelease) apply(terms Terms, queryHash Element, totals []Sums) error {
	query, err := toField(queryHash)
	if err != nil {
		return fmt.Errorf("query hash: %w", err)
	}
	for i, total := range totals {
		if _, err := total.pack(); err != nil {
			return fmt.Errorf("cell %d: %w", i, err)
		}
		if !terms.withholds(i) && total.Count.Cmp(new(big.Int).SetUint64(uint64(terms.MinCount))) < 0 {
			return fmt.Errorf("cell %d: has fewer records than the minimum and is not withheld", i)
		}
		var quotients, released [statistics]*big.Int
		for t, rule := range terms.rules() {
			unit := new(big.Int).SetUint64(uint64(max(rule.Unit, 1)))
			half := new(big.Int).Rsh(unit, 1)
			quotients[t] = half.Add(half, total.figures()[t]).Div(half, unit)
			released[t] = new(big.Int)
			if rule.Unit == 0 || terms.withholds(i) {
				continue
			}
			released[t].Set(quotients[t])
			if !o.seed.IsZero() {
				released[t].Add(released[t], big.NewInt(noise(o.seed, query, statistics*i+t, rule.Scale)))
			}
			released[t].Mul(released[t], unit)
		}
		o.quotients, o.released = append(o.quotients, quotients), append(o.released, sumsOf(released))
	}
	return nil
}

// ReleaseDigest returns sponge(39; salt, figures of cell 0, cell 1, …). A figure below 0
// is the field's. Readers compute it from what was released.
func ReleaseDigest(released []Sums, salt Element) (Element, error) {
	for i, cell := range released {
		for _, figure := range cell.figures() {
			if figure == nil || figure.BitLen() > wordBits {
				return Element{}, fmt.Errorf("release digest: cell %d: a figure is missing or out of range", i)
			}
		}
	}
	x, err := toField(salt)
	if err != nil {
		return Element{}, fmt.Errorf("release digest: salt: %w", err)
	}
	return fromField(digestReleased(x, released)), nil
}

func digestReleased(salt fr.Element, released []Sums) fr.Element {
	absorbed := []fr.Element{salt}
	for _, cell := range released {
		for _, figure := range cell.figures() {
			var x fr.Element
			absorbed = append(absorbed, *x.SetBigInt(figure))
		}
	}
	return sponge(TagRelease, absorbed)
}

// Assign returns the witness as values for the circuit c, and what the proof will
// state. It fails on what [ReleaseWitness.Public] fails on.
func (w ReleaseWitness) Assign(c Circuit) (frontend.Circuit, ReleasePublic, error) {
	public, open, err := w.open(c)
	if err != nil {
		return nil, public, err
	}
	a := newReleaseCircuit(c.tally, c.kind == noiseKind)
	a.Totals, a.QueryHash, a.Terms, a.Released = public.Totals[:], public.QueryHash[:], public.Terms[:], public.Released[:]
	a.Salt = open.salt
	for k, shard := range open.shards {
		a.Shards[k].Salt = shard.salt
		for i, packed := range shard.packed {
			a.Shards[k].Cells[i] = packed
		}
	}
	for i, quotients := range open.quotients {
		for t, quotient := range quotients {
			a.Quotients[i][t] = quotient
		}
	}
	if public.Seed != nil {
		a.SeedCommitment[0], a.Seed[0] = public.Seed[:], open.seed
	}
	return a, public, nil
}
