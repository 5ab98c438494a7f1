package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Pull is a FHIR server that the node fetches from.
type Pull struct {
	Name     string    `json:"name"`
	URL      string    `json:"url,omitempty"`
	Kind     string    `json:"kind,omitempty"`     // bulk or search
	Schedule string    `json:"schedule,omitempty"` // as cron writes it
	Zone     string    `json:"zone,omitempty"`
	Next     time.Time `json:"next,omitzero"`   // zero for never
	Error    string    `json:"error,omitempty"` // what is wrong with its settings
	Last     *PullRun  `json:"last,omitempty"`  // without its files
}

// PullRun is one fetch.
type PullRun struct {
	ID       string           `json:"id"`
	Pull     string           `json:"pull"`
	State    string           `json:"state"` // waiting, exporting, fetching, completed, completed with problems, failed, cancelled
	Asked    time.Time        `json:"asked"`
	Ended    time.Time        `json:"ended,omitzero"` // zero while it goes on
	Since    time.Time        `json:"since,omitzero"` // zero for everything
	Until    time.Time        `json:"until,omitzero"`
	Progress string           `json:"progress,omitempty"`
	Error    string           `json:"error,omitempty"`
	Findings map[string]int64 `json:"findings"`
	Files    []PullFile       `json:"files"`
}

// PullFile is a file that a run fetches.
type PullFile struct {
	Kind    string `json:"kind"` // output, deleted, error, search
	Type    string `json:"type,omitempty"`
	Fetched bool   `json:"fetched"`
	File    string `json:"fileId,omitempty"`
	Job     string `json:"jobId,omitempty"`
}

// Pulls returns all pulls, by name.
func (c *Client) Pulls(ctx context.Context) ([]Pull, error) {
	answer, err := ask[struct{ Pulls []Pull }](ctx, c, http.MethodGet, "/v1/ingest/pulls", "", nil)
	return answer.Pulls, err
}

// StartPull has the node fetch now.
func (c *Client) StartPull(ctx context.Context, name string) (PullRun, error) {
	return ask[PullRun](ctx, c, http.MethodPost, "/v1/ingest/pulls/"+url.PathEscape(name)+"/runs", "", nil)
}

// CancelPull ends the run that is under way. What was fetched is loaded all the same.
func (c *Client) CancelPull(ctx context.Context, name string) (PullRun, error) {
	return ask[PullRun](ctx, c, http.MethodPost, "/v1/ingest/pulls/"+url.PathEscape(name)+"/cancel", "", nil)
}

// PullRuns returns the newest runs of a pull, at most limit (1 to 100), newest first.
func (c *Client) PullRuns(ctx context.Context, name string, limit int) ([]PullRun, error) {
	answer, err := ask[struct{ Runs []PullRun }](ctx, c, http.MethodGet, "/v1/ingest/pulls/"+url.PathEscape(name)+"/runs?limit="+strconv.Itoa(limit), "", nil)
	return answer.Runs, err
}

// WatchPull returns the newest run of a pull once it is over, or when ctx ends, and shows
// every state it sees.
func (c *Client) WatchPull(ctx context.Context, name string, show func(PullRun)) (PullRun, error) {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		runs, err := c.PullRuns(ctx, name, 1)
		if err != nil || len(runs) == 0 {
			return PullRun{}, err
		}
		if show(runs[0]); !runs[0].Ended.IsZero() {
			return runs[0], nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return runs[0], ctx.Err()
		case <-timer.C:
		}
	}
}
