package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// StudyVersion is a version of a saved study as the hub lists it.
type StudyVersion struct {
	Name        string         `json:"name"`
	Version     string         `json:"version"`
	Title       string         `json:"title"`
	Trial       trial.ID       `json:"trial"`
	Author      identity.DID   `json:"author"`
	Digest      message.Digest `json:"digest"`
	Questions   int            `json:"questions"`
	Registered  time.Time      `json:"registered"`
	LedgerIndex int64          `json:"ledgerIndex"`
}

// Study is a version of a saved study as the hub shows it.
type Study struct {
	StudyVersion
	Study    study.Study      `json:"study"`
	Envelope message.Envelope `json:"envelope"`
	Asked    []AskedOfStudy   `json:"asked"` // newest first
}

// AskedOfStudy is a question that was asked as one of a study.
type AskedOfStudy struct {
	Name       string       `json:"name"` // in the study
	ID         query.ID     `json:"id"`
	Researcher identity.DID `json:"researcher"`
	State      query.State  `json:"state"`
}

// RegisterStudy registers a signed version of a study, for good, and says whether that
// changed anything. It needs a researcher's token.
func (c *Client) RegisterStudy(ctx context.Context, e message.Envelope) (changed bool, err error) {
	var answer struct {
		Existed bool `json:"existed"`
	}
	err = c.do(ctx, http.MethodPost, "/v1/studies", e, &answer)
	return err == nil && !answer.Existed, err
}

// Study returns a version of a study, NAME@VERSION, or the newest of NAME.
func (c *Client) Study(ctx context.Context, ref string) (Study, error) {
	var s Study
	return s, about("study", ref, c.do(ctx, http.MethodGet, "/v1/studies/"+url.PathEscape(ref), nil, &s))
}

// MaxStudies is how many versions of studies a hub lists at most.
const MaxStudies = 100

// Studies returns the newest versions of studies, limit of them, 1 to [MaxStudies].
func (c *Client) Studies(ctx context.Context, limit int) ([]StudyVersion, error) {
	var answer struct {
		Studies []StudyVersion `json:"studies"`
	}
	return answer.Studies, c.do(ctx, http.MethodGet, fmt.Sprintf("/v1/studies?limit=%d", limit), nil, &answer)
}
