package cdshooks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/screen"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// maxFeedback bounds one request.
const maxFeedback = 500

// outcome is what became of a card, as an EHR sends it. userComment is not read: it is
// free text about a patient.
type outcome struct {
	Card      string    `json:"card"`
	Outcome   string    `json:"outcome"`
	At        time.Time `json:"outcomeTimestamp"`
	Suggested []struct {
		ID string `json:"id"`
	} `json:"acceptedSuggestions"`
	Override *struct {
		Reason *coding `json:"reason"`
	} `json:"overrideReason"`
}

// The outcomes.
const (
	accepted   = "accepted"
	overridden = "overridden"
)

// otherReason stands for a reason that is not of [overrides].
const otherReason = "other"

func (o outcome) validate(now time.Time) error {
	switch {
	case !uuidForm.MatchString(o.Card):
		return malformed("feedback: card is no UUID")
	case o.Outcome != accepted && o.Outcome != overridden:
		return malformed("feedback: outcome is neither accepted nor overridden")
	case o.Outcome == accepted && len(o.Suggested) == 0:
		return malformed("feedback: accepted without acceptedSuggestions")
	case o.At.IsZero() || o.At.Year() < 2000 || o.At.Sub(now) > skew:
		return malformed("feedback: outcomeTimestamp is missing or cannot be")
	}
	return nil
}

// reason is the code of why a card was overridden, "" for none.
func (o outcome) reason() string {
	if o.Outcome != overridden || o.Override == nil || o.Override.Reason == nil {
		return ""
	}
	for _, known := range overrides {
		if known.System == o.Override.Reason.System && known.Code == o.Override.Reason.Code {
			return known.Code
		}
	}
	return otherReason
}

// feedback keeps what became of cards: all of a request, or nothing.
func (s *service) feedback(w http.ResponseWriter, r *http.Request) error {
	ctx, now := r.Context(), s.cfg.Now()
	token, err := s.cfg.Clients.Verify(ctx, r.Header.Get("Authorization"), s.cfg.URL+r.URL.Path, now)
	if err != nil {
		return err
	}
	d, err := serviceOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	body, err := read(w, r)
	if err != nil {
		return err
	}
	var said struct {
		Feedback []outcome `json:"feedback"`
	}
	if decode(body, &said) != nil {
		return malformed("it is no JSON object of the right form")
	}
	if len(said.Feedback) == 0 || len(said.Feedback) > maxFeedback {
		return malformed(fmt.Sprintf("feedback: want 1 to %d entries", maxFeedback))
	}
	for _, o := range said.Feedback {
		if err := o.validate(now); err != nil {
			return err
		}
	}
	err = s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := token.redeem(ctx, tx, now); err != nil {
			return err
		}
		for _, o := range said.Feedback {
			if err := keepOutcome(ctx, tx, shown{d.ID, token.Client.Issuer, now}, o); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return answer(w, struct{}{})
}

// shown is where cards were shown, and when.
type shown struct {
	service, issuer string
	at              time.Time
}

func keepCards(ctx context.Context, tx *sqldb.Tx, at shown, cards []card, matches []screen.Match) error {
	if len(cards) == 0 {
		return nil
	}
	rows := iter.Seq[[]any](func(yield func([]any) bool) {
		for i, c := range cards {
			if !yield([]any{c.UUID, at.service, string(matches[i].Rule.Trial), at.issuer, at.at.UnixMilli(), "", "", int64(0)}) {
				return
			}
		}
	})
	_, err := tx.Insert(ctx, "cds_card", []string{"card", "service", "trial", "issuer", "shown_at", "outcome", "reason", "outcome_at"}, rows)
	return err
}

// keepOutcome keeps the latest that is said of a card.
func keepOutcome(ctx context.Context, tx *sqldb.Tx, at shown, o outcome) error {
	var before int64
	err := tx.QueryRow(ctx, `SELECT outcome_at FROM cds_card WHERE card = ? AND service = ? AND issuer = ?`, strings.ToLower(o.Card), at.service, at.issuer).Scan(&before)
	if errors.Is(err, sqldb.ErrNoRows) {
		return errCard
	}
	if err != nil || before > o.At.UnixMilli() {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE cds_card SET outcome = ?, reason = ?, outcome_at = ? WHERE card = ? AND outcome_at <= ?`,
		o.Outcome, o.reason(), o.At.UnixMilli(), strings.ToLower(o.Card), o.At.UnixMilli())
	return err
}

// Feedback counts what became of the cards of a service for a trial.
type Feedback struct {
	Service    string           `json:"service"`
	Trial      trial.ID         `json:"trial"`
	Shown      int64            `json:"shown"`
	Accepted   int64            `json:"accepted"`
	Overridden int64            `json:"overridden"`
	Reasons    map[string]int64 `json:"reasons"` // of those overridden for a reason, by its code
}

// CountFeedback returns the counts of every service and trial, in their order.
func (c *Clients) CountFeedback(ctx context.Context) ([]Feedback, error) {
	var list []Feedback
	err := c.db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, `SELECT service, trial, outcome, reason, count(*) FROM cds_card GROUP BY service, trial, outcome, reason ORDER BY service, trial`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var service, what, reason string
			var id trial.ID
			var n int64
			if err := rows.Scan(&service, &id, &what, &reason, &n); err != nil {
				return err
			}
			if len(list) == 0 || list[len(list)-1].Service != service || list[len(list)-1].Trial != id {
				list = append(list, Feedback{Service: service, Trial: id, Reasons: map[string]int64{}})
			}
			f := &list[len(list)-1]
			f.Shown += n
			switch what {
			case accepted:
				f.Accepted += n
			case overridden:
				f.Overridden += n
			}
			if reason != "" {
				f.Reasons[reason] += n
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("cdshooks: feedback: %w", err)
	}
	return list, nil
}
