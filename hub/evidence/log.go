package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/ceremony"
)

// verification is one run: what was read so far and what was found.
type verification struct {
	src    Source
	trust  Trust
	chain  string // JSON-RPC endpoint, may be empty
	proofs Proofs
	report Report

	view     *ledger.View
	leaves   []leaf
	matters  map[matter][]leaf
	circuits map[message.Digest]circuitLeaf   // by SHA-256 of the verifying key
	parties  map[string]map[identity.DID]bool // who contributed to ceremonies, by their plans

	read     map[message.Digest][]byte // documents that may be needed again
	readSize int                       // bytes in read
	shards   map[message.Digest]bool   // of epochs, whose proofs were verified

	// questions are those that were checked; without a result they fail unless the
	// verification is of more than one.
	questions map[query.ID]*question
	ongoing   bool

	// answered says that an answer was checked, last is its entry, and proven are the
	// access proofs that verified.
	answered bool
	last     int64
	proven   []statement

	// broken is the first error that kept something from being checked.
	broken error
}

// leaf is an entry with its place in the log.
type leaf struct {
	index int64
	entry.Entry
}

// place names a leaf and its document.
func (l leaf) place() string {
	return fmt.Sprintf("entry %d (%s), document %s", l.index, l.Kind, l.Digest)
}

// circuitLeaf is a registered circuit.
type circuitLeaf struct {
	leaf
	entry.Circuit
}

// maxListed bounds how many findings of one kind are listed one by one.
const maxListed = 50

// open verifies the log and reads its entries. It reports whether the rest is
// worth looking at: in a damaged log nothing can be believed.
func (v *verification) open(ctx context.Context) bool {
	if err := v.trust.Validate(); err != nil {
		v.broken = err
		return false
	}
	found, err := ledger.Verify(ctx, v.src, v.trust.log())
	switch {
	case errors.Is(err, ledger.ErrDamaged):
		v.damaged(found, err)
		return false
	case err != nil:
		v.broken = err
		return false
	}
	c := found.Checkpoint
	v.report.Checkpoint = checkpointOf(c.Checkpoint)
	v.report.pass(CheckCheckpoint, c.Origin, "the checkpoint over %d entries is signed by the trusted key", c.Size)
	v.report.pass(CheckTree, c.Origin, "%d entries and %d files hash to the signed root %s", found.Entries, found.Files, c.Root)
	if v.view, err = ledger.Open(ctx, v.src, v.trust.log()); err != nil {
		v.broken = err
		return false
	}
	if v.trust.Cosigners.Quorum != "" {
		v.report.pass(CheckCosigners, c.Origin, "%d of the policy countersigned, which is its quorum: %s", len(c.Cosigners), strings.Join(c.Cosigners, ", "))
	}
	v.seen(ctx)
	return v.readEntries(ctx)
}

// damaged reports each damaged place.
func (v *verification) damaged(found ledger.Report, err error) {
	v.report.Checkpoint = checkpointOf(found.Checkpoint.Checkpoint)
	if len(found.Damage) == 0 {
		v.report.fail(CheckTree, v.trust.Origin, "%v", err)
	}
	for i, d := range found.Damage {
		if i == maxListed {
			v.report.fail(CheckTree, v.trust.Origin, "%d more places are damaged", len(found.Damage)-i)
			return
		}
		name := CheckTree
		if d.Path == checkpointPath {
			name = CheckCheckpoint
		}
		subject := d.Path
		if d.Entry >= 0 {
			subject = fmt.Sprintf("%s, entry %d", d.Path, d.Entry)
		}
		v.report.fail(name, subject, "%s", d.Reason)
	}
}

// readEntries reads every entry, each proven by the checkpoint.
func (v *verification) readEntries(ctx context.Context) bool {
	size, index := v.view.Checkpoint().Size, int64(0)
	v.matters = make(map[matter][]leaf)
	sound := true
	for raw, err := range v.view.Entries(ctx, 0, size) {
		if err != nil {
			v.broken = err
			return false
		}
		e, err := entry.Parse(raw)
		if err != nil {
			v.report.fail(CheckEntries, fmt.Sprintf("entry %d", index), "%v", err)
			sound = false
		}
		// Hubs of several replicas have several clocks.
		if n := len(v.leaves); n > 0 && e.At.Add(message.Skew).Before(v.leaves[n-1].At) {
			v.report.fail(CheckEntries, fmt.Sprintf("entry %d", index), "it is dated %s, before the entry that precedes it (%s)", e.At, v.leaves[n-1].At)
			sound = false
		}
		l := leaf{index, e}
		v.leaves = append(v.leaves, l)
		v.matters[matter{e.Kind, e.Subject}] = append(v.matters[matter{e.Kind, e.Subject}], l)
		index++
	}
	if sound {
		v.report.pass(CheckEntries, v.trust.Origin, "%d entries are well-formed and in order of time", size)
	}
	return sound
}

// matter is what a leaf is about.
type matter struct {
	kind    entry.Kind
	subject string
}

// find returns the leaves of a kind about a subject, in order.
func (v *verification) find(kind entry.Kind, subject string) []leaf {
	return slices.Clip(v.matters[matter{kind, subject}])
}

// readParties reads who contributed to ceremonies.
func (v *verification) readParties(ctx context.Context) {
	v.parties = make(map[string]map[identity.DID]bool)
	for _, l := range v.leaves {
		if l.Kind != entry.CeremonyStated {
			continue
		}
		e, err := read[message.Envelope](ctx, v, l)
		if err == nil && e.Kind != ceremony.KindContribution {
			continue
		}
		if err == nil {
			_, err = message.Replay[ceremony.Contribution](e, e.Kind)
		}
		if err != nil {
			v.report.fail(CheckDocuments, l.place(), "%v", err)
			continue
		}
		if v.parties[l.Subject] == nil {
			v.parties[l.Subject] = make(map[identity.DID]bool)
		}
		v.parties[l.Subject][e.Issuer] = true
	}
}

// readCircuits reads the registered circuits.
func (v *verification) readCircuits(ctx context.Context) {
	v.readParties(ctx)
	v.circuits = make(map[message.Digest]circuitLeaf)
	for _, l := range v.leaves {
		if l.Kind != entry.CircuitRegistered {
			continue
		}
		c, err := read[entry.Circuit](ctx, v, l)
		if err == nil && l.Actor != v.trust.Hub {
			err = errNotHub
		}
		if err != nil {
			v.report.fail(CheckDocuments, l.place(), "%v", err)
			continue
		}
		v.circuits[message.Sum(c.VerifyingKey)] = circuitLeaf{l, c}
	}
}

// circuit returns the circuit of a verifying key if proofs of it count for an
// entry at index before, and a sentence about where the key comes from.
func (v *verification) circuit(key message.Digest, before int64) (entry.Circuit, string, error) {
	c, known := v.circuits[key]
	if !known || c.index >= before {
		return entry.Circuit{}, "", fmt.Errorf("no circuit with the verifying key %s was registered before", key)
	}
	origin := "the verifying key is the one the hub registered"
	development := c.Development
	if len(v.trust.Circuits) > 0 {
		origin = ""
		for _, trusted := range v.trust.Circuits {
			if trusted.Key == key {
				origin = "the verifying key is a trusted one"
				development = development || trusted.Development
			}
		}
		if origin == "" {
			return entry.Circuit{}, "", fmt.Errorf("the verifying key %s is not a trusted one", key)
		}
	}
	switch {
	case development:
		origin += "; it is a DEVELOPMENT key: whoever made it could forge such proofs"
	case c.FromCeremony():
		origin += fmt.Sprintf("; %d parties signed contributions to the ceremony %s that made it", len(v.parties[c.Ceremony.String()]), c.Ceremony)
	}
	return c.Circuit, origin, nil
}
