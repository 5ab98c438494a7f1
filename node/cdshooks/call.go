package cdshooks

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/screen"
)

// call answers a hook with cards.
func (s *service) call(w http.ResponseWriter, r *http.Request) error {
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
	matches, err := s.matches(ctx, d, body, token.Client.RequirePatient, now)
	if err != nil {
		return err
	}
	cards := make([]card, len(matches))
	for i, m := range matches {
		cards[i] = s.cardOf(m)
	}
	err = s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := token.redeem(ctx, tx, now); err != nil {
			return err
		}
		if err := keepCards(ctx, tx, shown{d.ID, token.Client.Issuer, now}, cards, matches); err != nil {
			return err
		}
		return s.cfg.Trail.Add(ctx, tx, audit.Record{
			At: now, Event: audit.PatientScreened, Subject: fmt.Sprintf("%s, %s, %d cards", d.ID, token.Client.Issuer, len(cards)),
		})
	})
	if err != nil {
		return err
	}
	return answer(w, map[string]any{"cards": cards})
}

// matches reads a call and compares its patient with the trials.
func (s *service) matches(ctx context.Context, d description, body []byte, required bool, now time.Time) ([]screen.Match, error) {
	asked, about, err := d.parse(body)
	if err != nil {
		return nil, err
	}
	known, err := asked.known(about.Patient, required)
	if err != nil {
		return nil, err
	}
	c := screen.Case{Patient: about.Patient, Known: known}
	if d.Hook == orderSelect {
		if c.Drafts, err = s.drafts(ctx, about.Drafts, about.Patient); err != nil {
			return nil, err
		}
	}
	if !about.is(clinicians) { // a patient is not told by a card
		return nil, nil
	}
	return s.cfg.Patients.Screen(ctx, c, now)
}
