package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// NewParticipant is a patient to enroll in a trial. The identifier is neither stored nor sent
// on by the node.
type NewParticipant struct {
	Trial      string `json:"trial"`
	Patient    string `json:"patient"`
	Identifier string `json:"identifier"`
}

// Participant is somebody whom the site enrolls or has enrolled in a trial.
type Participant struct {
	Trial       string            `json:"trial"`
	Participant string            `json:"participant"` // the did:key that signed the consent
	State       string            `json:"state"`       // waiting, enrolled, refused
	Asked       time.Time         `json:"asked"`
	Enrolled    *time.Time        `json:"enrolled,omitempty"`
	LedgerIndex *int64            `json:"ledgerIndex,omitempty"`
	Refused     *problem.Document `json:"refused,omitempty"`
}

// Waits reports whether the enrollment is under way.
func (p Participant) Waits() bool { return p.State == "waiting" }

// Enroll has a patient enrolled. It is durable when Enroll returns, and done later.
func (c *Client) Enroll(ctx context.Context, p NewParticipant) (Participant, error) {
	raw, err := json.Marshal(p)
	if err != nil {
		return Participant{}, err
	}
	return ask[Participant](ctx, c, http.MethodPost, "/v1/enrollments", "application/json", bytes.NewReader(raw))
}

// Participants returns the newest whom the site enrolls or has enrolled, in a trial or, of "", in
// all, at most 1,000.
func (c *Client) Participants(ctx context.Context, trial string) ([]Participant, error) {
	answer, err := ask[struct{ Participants []Participant }](ctx, c, http.MethodGet, "/v1/enrollments?"+url.Values{"trial": {trial}}.Encode(), "", nil)
	return answer.Participants, err
}
