package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// enrollments checks who is enrolled in a trial: that each enrollment is a proof, for this trial
// and one root over the consents of all its sites as they stood, that somebody with a consent in
// force enrolls; that nobody is enrolled twice, and that one key told people apart.
func (v *verification) enrollments(ctx context.Context, design trial.Design) {
	subject := string(design.ID)
	if design.Participants == nil {
		if stray := v.find(entry.PersonEnrolled, subject); len(stray) > 0 {
			v.report.fail(CheckPeople, subject, "%s: the design names no identifier of participants, so nobody enrolls", stray[0].place())
		}
		return
	}
	key, ok := v.personKey(ctx)
	if !ok {
		return
	}
	sites := newSites()
	seen := make(map[consent.Element]int64)
	origin := "nothing was to be proven"
	for _, l := range v.leaves {
		if ctx.Err() != nil {
			return
		}
		if l.Subject != subject {
			continue
		}
		var err error
		switch l.Kind {
		case entry.ConsentChanged:
			err = sites.grow(ctx, v, l)
		case entry.PersonEnrolled:
			origin, err = v.person(ctx, l, design, key, sites, seen)
		}
		if err != nil {
			v.report.fail(CheckPeople, subject, "%s: %v", l.place(), err)
			return
		}
	}
	v.report.pass(CheckPeople, subject, "%d people, each once, with a consent that was in force; their proofs verify under the roots that the consents of %d sites lead to; %s", len(seen), len(sites.trees), origin)
}

// personKey finds the one key by which people are told apart.
func (v *verification) personKey(ctx context.Context) (message.Digest, bool) {
	var key enrollment.PersonKey
	var digest message.Digest
	fixed := 0
	for _, l := range v.leaves {
		if l.Kind != entry.PersonKeyFixed {
			continue
		}
		fixed++
		var err error
		if key, err = read[enrollment.PersonKey](ctx, v, l); err == nil {
			digest, err = key.Digest()
		}
		if err == nil && l.Actor != v.trust.Hub {
			err = errNotHub
		}
		if err != nil {
			v.report.fail(CheckPersonKey, l.place(), "%v", err)
			return digest, false
		}
	}
	return digest, v.report.judge(CheckPersonKey, v.trust.Origin, fixed == 1, fmt.Sprintf("one key tells people apart; it takes %d of %d parties to use it", key.Threshold, len(key.Holders)),
		fmt.Sprintf("%d keys tell people apart, not one: under two, one person can enroll twice", fixed))
}

// person checks one enrollment, and returns where the verifying key is from.
func (v *verification) person(ctx context.Context, l leaf, design trial.Design, key message.Digest, sites *sites, seen map[consent.Element]int64) (string, error) {
	e, err := read[enrollment.Enrollment](ctx, v, l)
	if err != nil {
		return "", err
	}
	before, twice := seen[e.Nullifier]
	switch {
	case l.Actor != v.trust.Hub:
		return "", errNotHub
	case e.Trial != design.ID:
		return "", errSubject
	case twice:
		return "", fmt.Errorf("the person of entry %d is enrolled again", before)
	case e.Key != key:
		return "", errors.New("the person was told apart by another key")
	case l.At.Before(design.Opens) || !l.At.Before(design.Closes):
		return "", errors.New("the trial was not open")
	case e.Time.After(l.At.Add(message.Skew)) || e.Time.Before(l.At.Add(-enrollment.Window)):
		return "", errors.New("the proof is for another time")
	case !sites.stood(e.Root, l.At):
		return "", errors.New("the proof leads to a root that the consents of the sites did not have then")
	}
	c, origin, err := v.circuit(e.Circuit, l.index)
	if err != nil {
		return "", err
	}
	if c.Shape != circuits.Enrollment(circuits.TreeDepth).String() {
		return "", fmt.Errorf("the proof is of circuit %s", c.Shape)
	}
	seen[e.Nullifier] = l.index
	return origin, v.proofs.CheckEnrollment(c, e, v.trust.Hub)
}

// sites is the tree over the consents of all sites of a trial, recomputed from every change
// that they published.
type sites struct {
	trees map[identity.DID]*tree
	place map[block]int
	rows  circuits.MemoryRows
	now   consent.Element
	ended map[consent.Element]time.Time // of roots from before
}

// block is one of a site's tree.
type block struct {
	node   identity.DID
	number int
}

func newSites() *sites {
	return &sites{trees: make(map[identity.DID]*tree), place: make(map[block]int), rows: circuits.MemoryRows{}, ended: make(map[consent.Element]time.Time)}
}

// stood reports whether a root was the tree's in the last hour before a time.
func (s *sites) stood(root consent.Element, at time.Time) bool {
	ended, before := s.ended[root]
	return len(s.place) > 0 && (root == s.now || before && !ended.Before(at.Add(-enrollment.Window)))
}

// grow applies the changes of an entry.
func (s *sites) grow(ctx context.Context, v *verification, l leaf) error {
	t := s.trees[l.Actor]
	if t == nil {
		t = newTree()
		s.trees[l.Actor] = t
	}
	list, err := t.grow(ctx, v, l)
	if err != nil {
		return err
	}
	var elements []circuits.Placed
	last := -1
	for _, c := range list {
		number := c.Index / circuits.BlockLeaves
		if number == last || number >= circuits.MaxBlocks {
			continue
		}
		last = number
		b := block{l.Actor, number}
		place, known := s.place[b]
		if !known {
			if place = len(s.place); place >= circuits.TreeBlocks {
				continue
			}
			s.place[b] = place
		}
		hash, err := circuits.TreeElement(t.rows, circuits.BlockLevel, number)
		if err != nil {
			return err
		}
		elements = append(elements, circuits.Placed{Index: place, Hash: hash})
	}
	slices.SortFunc(elements, func(a, b circuits.Placed) int { return a.Index - b.Index })
	root, err := circuits.UpdateTree(s.rows, circuits.BlockLevel, elements)
	if err == nil && root != s.now {
		s.ended[s.now] = l.At
		s.now = root
	}
	return err
}
