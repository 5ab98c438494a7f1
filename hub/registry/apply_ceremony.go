package registry

import (
	"errors"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/zk/ceremony"
)

var (
	errCeremonyOrder = problem.New(problem.Conflict, "the statement follows one of its ceremony that is not on the ledger")
	errCeremonyKeys  = problem.New(problem.Invalid, "circuit: keys are development keys, or those of a ceremony whose statements are on the ledger")
)

// recordCeremony puts a statement on the ledger after those that it names. What the parties did
// is for whoever verifies the transcript; here it is fixed what they signed.
func (s step) recordCeremony(c RecordCeremony) (Outcome, error) {
	digest := c.Envelope.Digest()
	if same, err := s.exists(`SELECT 1 FROM ceremony WHERE digest = ?`, digest.String()); err != nil || same {
		return silent(true), err
	}
	previous, err := follows(c.Envelope)
	if err != nil {
		return Outcome{}, err
	}
	plan := digest.String()
	for _, p := range previous {
		err := s.tx.QueryRow(s.ctx, `SELECT plan FROM ceremony WHERE digest = ?`, p.String()).Scan(&plan)
		if errors.Is(err, sqldb.ErrNoRows) {
			return Outcome{}, errCeremonyOrder
		}
		if err != nil {
			return Outcome{}, err
		}
	}
	document, out, err := s.record(entry.CeremonyStated, c.Envelope.Issuer, plan, c.Envelope)
	if err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO ceremony (digest, plan, kind, document) VALUES (?, ?, ?, ?)`, digest.String(), plan, string(c.Envelope.Kind), document.String())
	return out, err
}

// follows checks a statement's signature and returns the digests of those that it names: none
// of a plan.
func follows(e message.Envelope) ([]message.Digest, error) {
	switch e.Kind {
	case ceremony.KindPlan:
		_, err := message.Replay[ceremony.Plan](e, e.Kind)
		return nil, err
	case ceremony.KindContribution:
		c, err := message.Replay[ceremony.Contribution](e, e.Kind)
		return []message.Digest{c.Previous}, err
	case ceremony.KindBeacon:
		b, err := message.Replay[ceremony.Beacon](e, e.Kind)
		if err == nil && len(b.Previous) == 0 {
			err = errCeremonyOrder
		}
		return b.Previous, err
	case ceremony.KindKeys:
		m, err := message.Replay[ceremony.Made](e, e.Kind)
		return []message.Digest{m.Previous}, err
	}
	return nil, message.ErrKind
}

// originOf refuses a circuit that is neither marked as having development keys nor has those of
// a ceremony on the ledger.
func (s step) originOf(c entry.Circuit) error {
	if c.Development && c.Ceremony.IsZero() {
		return nil
	}
	found := false
	err := s.tx.Each(s.ctx, `SELECT document FROM ceremony WHERE plan = ? AND kind = ?`, []any{c.Ceremony.String(), string(ceremony.KindKeys)}, func(rows *sqldb.Rows) error {
		var document string
		if err := rows.Scan(&document); err != nil {
			return err
		}
		e, err := documentAs[message.Envelope](s.ctx, s.tx, document)
		if err != nil {
			return err
		}
		made, err := message.Stored[ceremony.Made](e, ceremony.KindKeys)
		found = found || slices.ContainsFunc(made.Keys, func(k ceremony.MadeKey) bool {
			return k.Circuit.String() == c.Shape && slices.Equal(k.VerifyingKey, c.VerifyingKey) && k.ProvingDigest == c.ProvingDigest
		})
		return err
	})
	if err == nil && (!found || c.Development) {
		err = errCeremonyKeys
	}
	return err
}
