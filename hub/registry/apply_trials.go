package registry

import (
	"errors"
	"slices"

	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// registerTrial registers a trial, or renews the approvals of one. Its design
// is for good: another under the same id would put what was approved in doubt.
func (s step) registerTrial(c RegisterTrial) (Outcome, error) {
	design, err := c.Registration.Open()
	if err != nil {
		return Outcome{}, err
	}
	r := c.Registration
	switch previous, _, err := trialOf(s.ctx, s.tx, design.ID); {
	case errors.Is(err, ErrTrialUnknown):
		for _, node := range design.Nodes {
			if enrolled, err := s.enrolled(node); err != nil || !enrolled {
				return Outcome{}, firstError(err, ErrNodeUnknown)
			}
		}
	case err != nil:
		return Outcome{}, err
	case previous.Design.Digest() != r.Design.Digest():
		return Outcome{}, ErrTrialExists
	default:
		for _, e := range r.Approvals {
			if s.at.Add(message.Skew).Before(e.Issued) {
				return Outcome{}, message.ErrEarly // the one in force would be gone until then
			}
		}
		renewed := renew(previous.Approvals, r.Approvals)
		if slices.EqualFunc(renewed, previous.Approvals, sameEnvelope) {
			return silent(true), nil
		}
		if len(renewed) > trial.MaxApprovals {
			return Outcome{}, ErrApprovals
		}
		r.Design, r.Approvals = previous.Design, renewed
	}
	document, out, err := s.record(entry.TrialRegistered, r.Design.Issuer, string(design.ID), r)
	if err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO trial (id, document, ledger_index) VALUES (?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET document = excluded.document, ledger_index = excluded.ledger_index`, design.ID, document.String(), out.LedgerIndex)
	return out, err
}

// renew returns known with each approval that lasts longer than those of its
// board put in their place. What another board said stays: nodes may trust
// different ones.
func renew(known, given []message.Envelope) []message.Envelope {
	list := slices.Clone(known)
	for _, e := range given {
		if slices.ContainsFunc(list, func(k message.Envelope) bool { return k.Issuer == e.Issuer && !e.Expires.After(k.Expires) }) {
			continue
		}
		list = append(slices.DeleteFunc(list, func(k message.Envelope) bool { return k.Issuer == e.Issuer }), e)
	}
	return list
}

func sameEnvelope(a, b message.Envelope) bool { return a.Digest() == b.Digest() }
