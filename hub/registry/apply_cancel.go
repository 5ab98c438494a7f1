package registry

import (
	"context"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// cancelQuestion ends an open question. Whichever of this and its result comes first in the
// log stands: the other is refused with [ErrQuestionClosed]. Who asked the same and waits
// for the answer is asked for next.
func (s step) cancelQuestion(c CancelQuestion) (Outcome, error) {
	cancellation, err := message.Open[query.Cancellation](c.Envelope, query.KindCancellation, s.at)
	if err != nil {
		return Outcome{}, err
	}
	q, err := questionOf(s.ctx, s.tx, cancellation.Query)
	if err != nil {
		return Outcome{}, err
	}
	registration, _, err := trialOf(s.ctx, s.tx, q.Request.Trial)
	if err != nil {
		return Outcome{}, err
	}
	if err := cancellation.Check(c.Envelope.Issuer, q.Envelope, registration.Design); err != nil {
		return Outcome{}, err
	}
	switch q.State {
	case query.Open:
	case query.Cancelled:
		return silent(true), nil
	default:
		return Outcome{}, ErrQuestionClosed
	}
	reason := "cancelled by the sponsor of the trial"
	if c.Envelope.Issuer == q.Envelope.Issuer {
		reason = "cancelled by the researcher who asked"
	}
	if cancellation.Reason != "" {
		reason += ": " + cancellation.Reason
	}
	return s.finish(query.Result{
		Query: q.ID, Trial: q.Request.Trial, State: query.Cancelled, Reason: reason, Cancelled: &c.Envelope,
		Asked: q.Asked, Finished: s.at, Answered: []query.Answered{},
	})
}

// Cancelled returns the cancelled questions whose time is not over at now, oldest first:
// nodes may still be at work on them.
func (r *Reader) Cancelled(ctx context.Context, now time.Time) ([]query.ID, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]query.ID, error) {
		return collect(ctx, tx, func(rows *sqldb.Rows) (id query.ID, err error) {
			var text string
			if err := rows.Scan(&text); err != nil {
				return id, err
			}
			return id, id.UnmarshalText([]byte(text))
		}, `SELECT id FROM question WHERE state = ? AND deadline > ? ORDER BY ledger_index`, query.Cancelled, now.Unix())
	})
}
