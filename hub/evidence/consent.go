package evidence

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// VerifyConsent follows a participant's consent through the log: that the node put into
// its tree what the participant signed and nothing else, what stands there now, and which
// answers were given while it was in force. It reads the changes of all leaves of the node,
// so that nobody learns which of them is meant. The error is as in [VerifyLedger].
func VerifyConsent(ctx context.Context, src Source, trust Trust, receipt consent.Receipt) (Report, error) {
	v, err := begin(ctx, src, trust, "")
	if err != nil {
		return Report{}, err
	}
	if v.open(ctx) {
		v.readCircuits(ctx)
		v.consent(ctx, receipt)
	}
	return v.end(ctx)
}

// followed is a participant's leaf on its way through the log.
type followed struct {
	receipt    consent.Receipt
	statements []consent.Statement

	changes int // of the leaf, so far
	now     int // statement in it, -1 before the first
	entry   int64
	epochs  map[message.Digest]int // statement by epoch
}

func (v *verification) consent(ctx context.Context, receipt consent.Receipt) {
	subject := fmt.Sprintf("leaf %d", receipt.Index)
	f := &followed{receipt: receipt, now: -1, epochs: make(map[message.Digest]int)}
	var err error
	if f.statements, err = receipt.Statements(); err != nil {
		v.report.fail(CheckOwn, subject, "%v", err)
		return
	}
	v.report.pass(CheckOwn, subject, "the receipt holds %d messages that the participant signed for trial %s and node %s", len(receipt.Said), receipt.Trial, receipt.Node)
	if !v.follow(ctx, f, subject) {
		return
	}
	last := len(f.statements) - 1
	switch {
	case f.now < 0:
		v.report.fail(CheckConsent, subject, "no leaf opens with this receipt: the node has published nothing of it yet, or the participant signed more since; ask the hospital for a new receipt, and if that opens none either, why")
		return
	case f.now < last:
		v.report.fail(CheckConsent, subject, "the ledger still says what message %d said; the last, of %s, is not in it, or not yet", f.now+1, stamp(receipt.Said[last].Issued))
		return
	}
	v.report.pass(CheckConsent, subject, "%s: entry %d has it, and the leaf states nothing else since", f.state(f.now), f.entry)
	v.used(ctx, f, subject)
}

// follow recomputes the node's tree and looks at each change of the leaf and at each epoch.
func (v *verification) follow(ctx context.Context, f *followed, subject string) bool {
	t := newTree()
	for _, l := range v.leaves {
		if ctx.Err() != nil {
			return false
		}
		if l.Actor != f.receipt.Node || l.Subject != string(f.receipt.Trial) {
			continue
		}
		var err error
		switch l.Kind {
		case entry.ConsentChanged:
			var list []consent.Change
			if list, err = t.grow(ctx, v, l); err != nil {
				break
			}
			for _, c := range list {
				if c.Index != f.receipt.Index {
					continue
				}
				if err := f.change(c, l.index); err != nil {
					v.report.fail(CheckLeaf, subject, "%s: %v", l.place(), err)
					return false
				}
			}
		case entry.ConsentEpoch:
			var e signed[consent.Epoch]
			if e, err = open[consent.Epoch](ctx, v, l, consent.KindEpoch); err == nil {
				err = v.holds(ctx, t, l)
				f.epochs[e.envelope.Digest()] = f.now
			}
		}
		if err != nil {
			v.report.fail(CheckTrees, l.place(), "%v", err)
			return false
		}
	}
	v.report.pass(CheckTrees, string(f.receipt.Node), "%d lists of changes lead to the roots that the node signed, and its %d epochs are about those leaves", t.number, len(f.epochs))
	if f.now < 0 {
		return true // no change was opened
	}
	v.report.pass(CheckLeaf, subject, "it changed %d times, and since it is the participant's each time to what they had signed, or only in its looks", f.changes)
	return true
}

// change takes one change of the leaf. From the first that opens on, each must. Statements
// may look alike, as those of a consent that was given again; then the receipt tells them.
func (f *followed) change(c consent.Change, index int64) error {
	f.changes++
	opens := false
	for i := max(f.now, 0); i < len(f.statements); i++ {
		states, err := f.states(c.New, f.statements[i])
		if err != nil {
			return err
		}
		opens = opens || states
		said := f.statements[i].Said
		if i == f.now {
			said = message.Digest{}
		}
		if !states || f.receipt.Secret.Receipt(f.changes, said) != c.Receipt {
			continue
		}
		if i != f.now {
			f.now, f.entry = i, index
		}
		return nil
	}
	switch {
	case opens:
		return errors.New("the leaf states something that the participant signed, but its receipt is not for that message")
	case f.now < 0:
		return nil // it was kept for a participant, or is not this one's
	}
	return fmt.Errorf("the leaf states something that the participant has not signed, or had signed before message %d; if they enrolled in the trial since the receipt was made, it takes a new one", f.now+1)
}

// states reports whether a leaf is the participant's with a statement after its last change.
// It names them by their pseudonym or, from when they enrolled on, by their secret.
func (f *followed) states(leaf consent.Element, s consent.Statement) (bool, error) {
	a := circuits.Attributes{Mask: s.Grant.Scopes, Status: circuits.Active, From: uint32(s.Grant.From.Unix()), To: uint32(s.Grant.To.Unix())}
	if s.Withdrawn {
		a.Status = circuits.Withdrawn
	}
	for _, participant := range []consent.Element{circuits.Pseudonym(f.receipt.Participant), f.receipt.Person} {
		opened, err := circuits.OpenLeaf(participant, f.receipt.Secret, f.changes, a)
		if err != nil {
			return false, err
		}
		if l, err := opened.Leaf(); err != nil || l == leaf && participant != (consent.Element{}) {
			return err == nil, err
		}
	}
	return false, nil
}

// state says in words what a statement says.
func (f *followed) state(i int) string {
	s := f.statements[i]
	if s.Withdrawn {
		return "the consent is withdrawn, by the message of " + stamp(f.receipt.Said[i].Issued)
	}
	return fmt.Sprintf("the consent is in force from %s to %s for %v", stamp(s.Grant.From), stamp(s.Grant.To), s.Grant.Scopes.Scopes())
}

// used lists the node's answers by whether the consent was in force in the epoch that each
// was drawn under.
func (v *verification) used(ctx context.Context, f *followed, subject string) {
	var covered, others []string
	for _, l := range v.leaves {
		if l.Kind != entry.QuestionAnswered {
			continue
		}
		r, err := read[query.Result](ctx, v, l)
		if err != nil {
			v.report.fail(CheckDocuments, l.place(), "%v", err)
			return
		}
		under, answered := epochUnder(r, f.receipt.Node)
		if r.Trial != f.receipt.Trial || !answered {
			continue
		}
		if i, known := f.epochs[under]; known && i >= 0 && !f.statements[i].Withdrawn {
			covered = append(covered, r.Query.String())
		} else {
			others = append(others, r.Query.String())
		}
	}
	v.report.pass(CheckUsed, subject, "%s were drawn while the consent was in the tree and in force; of whom they were drawn is not public. %s came when it was not, and their proofs rule it out",
		answers(covered), answers(others))
}

// epochUnder returns the epoch that a node answered under.
func epochUnder(r query.Result, node identity.DID) (message.Digest, bool) {
	for _, a := range r.Answered {
		if a.Node == node {
			return a.Epoch, true
		}
	}
	return message.Digest{}, false
}

// answers lists questions.
func answers(ids []string) string {
	text := fmt.Sprintf("%d answers", len(ids))
	if len(ids) == 0 {
		return text
	}
	return text + " (" + strings.Join(ids[:min(len(ids), maxListed)], ", ") + ")"
}
