package approval

import (
	"context"
	"encoding/json"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// History is what came before a question at this site.
type History struct {
	// Asked counts the other questions of its researcher that came to a decision here,
	// Lately those of them in the 30 days before it.
	Asked, Lately int

	// Passed and Denied count how often the site's policy let the same question pass
	// without a person, and refused it, whoever asked.
	Passed, Denied int

	// Verdicts are the newest of the site's people about the same question, whoever asked
	// and under whatever policy and limits; at most 20.
	Verdicts []Past
}

// Past is an earlier verdict.
type Past struct {
	Earlier
	Approver identity.DID
	Reason   string // as its signer gave it for the site's own records
}

// Limits of a history.
const (
	lately       = 30 * 24 * time.Hour
	pastVerdicts = 20
)

// History returns what came before a request for approval, and since: what is the same
// question is so whoever asks it and in which words.
func (d *Desk) History(ctx context.Context, i Item) (History, error) {
	var h History
	err := d.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		h = History{}
		id, since := i.Input.Query.String(), i.Asked.Add(-lately).Unix()
		err := tx.QueryRow(ctx, `SELECT count(DISTINCT query), count(DISTINCT CASE WHEN decided_at >= ? THEN query END)
			FROM approval_decision WHERE researcher = ? AND query <> ?`, since, i.Input.Researcher, id).Scan(&h.Asked, &h.Lately)
		if err != nil {
			return err
		}
		err = tx.Each(ctx, `SELECT decision FROM approval_decision WHERE question = ? AND query <> ?`, []any{i.Input.Question.String(), id}, func(rows *sqldb.Rows) error {
			var raw []byte
			var decision Decision
			if err := rows.Scan(&raw); err != nil {
				return err
			}
			err := json.Unmarshal(raw, &decision)
			switch decision.Kind {
			case Automatic:
				h.Passed++
			case Refuse:
				h.Denied++
			case Human: // the verdicts tell
			}
			return err
		})
		if err == nil {
			h.Verdicts, err = past(ctx, tx, i)
		}
		return err
	})
	return h, err
}

func past(ctx context.Context, tx *sqldb.Tx, i Item) ([]Past, error) {
	var list []Past
	err := tx.Each(ctx, `SELECT d.researcher, r.gate, r.approved, r.decided_at, r.signer, r.verdict FROM approval_request r
		JOIN approval_decision d ON d.query = r.query AND d.policy = r.policy AND d.terms = r.terms
		WHERE d.question = ? AND r.decided_at > 0 AND r.id <> ?
		ORDER BY r.decided_at DESC, r.id LIMIT ?`, []any{i.Input.Question.String(), i.ID.String(), pastVerdicts}, func(rows *sqldb.Rows) error {
		var researcher, gate, signer string
		var approved, at int64
		var raw []byte
		if err := rows.Scan(&researcher, &gate, &approved, &at, &signer, &raw); err != nil {
			return err
		}
		var e message.Envelope
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		v, err := message.Stored[Verdict](e, KindVerdict)
		list = append(list, Past{
			Earlier:  Earlier{Researcher: identity.DID(researcher), Gate: Gate(gate), Approved: approved == 1, At: moment(at)},
			Approver: identity.DID(signer), Reason: v.Reason,
		})
		return err
	})
	return list, err
}
