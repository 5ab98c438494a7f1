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
	"github.com/trialmesh/trialmesh/protocol/schedule"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// ScheduleSummary is a recurring question as the hub lists it.
type ScheduleSummary struct {
	Name            string             `json:"name"`
	Trial           trial.ID           `json:"trial"`
	Kind            query.AnalysisKind `json:"analysis"`
	Researcher      identity.DID       `json:"researcher"`
	Digest          message.Digest     `json:"digest"` // of the plan
	Cron            string             `json:"cron"`
	DeadlineSeconds int                `json:"deadlineSeconds"`
	Occurrences     int                `json:"occurrences"`
	Asked           int                `json:"asked"`
	Missed          int                `json:"missed"`
	Next            *time.Time         `json:"next,omitempty"` // nil once nothing is to come
	Cancelled       *message.Envelope  `json:"cancelled,omitempty"`
	Registered      time.Time          `json:"registered"`
	LedgerIndex     int64              `json:"ledgerIndex"`
}

// State says in a word where a schedule stands.
func (s ScheduleSummary) State() string {
	switch {
	case s.Cancelled != nil:
		return "cancelled"
	case s.Next == nil:
		return "over"
	}
	return "running"
}

// Schedule is a recurring question as the hub shows it.
type Schedule struct {
	ScheduleSummary
	Request  query.Request    `json:"request"`
	Envelope message.Envelope `json:"envelope"`
	Times    []Occurrence     `json:"times"`
}

// Occurrence is one of the times at which a schedule asks its question.
type Occurrence struct {
	Number   int            `json:"number"`
	Due      time.Time      `json:"due"`
	State    schedule.State `json:"state"`
	Query    *query.ID      `json:"query,omitempty"` // once it was asked
	Question query.State    `json:"question,omitempty"`
	Rule     string         `json:"rule,omitempty"`   // by which it was refused
	Reason   string         `json:"reason,omitempty"` // why it was missed
}

// RegisterSchedule registers a signed schedule and says whether that changed anything. It
// needs a researcher's token.
func (c *Client) RegisterSchedule(ctx context.Context, e message.Envelope) (changed bool, err error) {
	var answer struct {
		Existed bool `json:"existed"`
	}
	err = c.do(ctx, http.MethodPost, "/v1/schedules", e, &answer)
	return err == nil && !answer.Existed, err
}

// Schedule returns a recurring question by its name.
func (c *Client) Schedule(ctx context.Context, name string) (Schedule, error) {
	var s Schedule
	return s, about("schedule", name, c.do(ctx, http.MethodGet, "/v1/schedules/"+url.PathEscape(name), nil, &s))
}

// MaxSchedules is how many schedules a hub lists at most.
const MaxSchedules = 100

// Schedules returns the newest recurring questions, limit of them, 1 to [MaxSchedules].
func (c *Client) Schedules(ctx context.Context, limit int) ([]ScheduleSummary, error) {
	var answer struct {
		Schedules []ScheduleSummary `json:"schedules"`
	}
	return answer.Schedules, c.do(ctx, http.MethodGet, fmt.Sprintf("/v1/schedules?limit=%d", limit), nil, &answer)
}

// CancelSchedule sends a signed cancellation and says whether it changed anything. It needs
// the researcher's or the sponsor's token.
func (c *Client) CancelSchedule(ctx context.Context, name string, e message.Envelope) (changed bool, err error) {
	var answer struct {
		Existed bool `json:"existed"`
	}
	err = c.do(ctx, http.MethodPost, "/v1/schedules/"+url.PathEscape(name)+"/cancel", map[string]any{"envelope": e}, &answer)
	return err == nil && !answer.Existed, err
}
