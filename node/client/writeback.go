package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Message is a FHIR resource on its way to an EHR.
type Message struct {
	ID         string    `json:"id"`
	Endpoint   string    `json:"endpoint"`
	Type       string    `json:"type"`
	Identifier string    `json:"identifier"` // value of the one that the node gave it
	State      string    `json:"state"`      // waiting, delivered, failed, cancelled
	Asked      time.Time `json:"asked"`
	Tried      time.Time `json:"tried,omitzero"` // when the latest attempt began
	Next       time.Time `json:"next,omitzero"`  // when the next one is due after trouble
	Ended      time.Time `json:"ended,omitzero"` // zero while it waits
	Attempts   int       `json:"attempts"`
	Reference  string    `json:"reference,omitempty"` // what the EHR calls it
	Error      string    `json:"error,omitempty"`     // of the last attempt that failed
}

// Endpoint is an EHR that the node may write to.
type Endpoint struct {
	Name  string   `json:"name"`
	URL   string   `json:"url,omitempty"`
	Types []string `json:"types"`
	Error string   `json:"error,omitempty"` // what is wrong with its settings
}

// Send has the resources of a FHIR document written to an endpoint. All are durable when it
// returns, or none is kept.
func (c *Client) Send(ctx context.Context, endpoint string, document io.Reader) ([]Message, error) {
	answer, err := ask[struct{ Messages []Message }](ctx, c, http.MethodPost, "/v1/writeback?"+url.Values{"to": {endpoint}}.Encode(), "application/fhir+json", document)
	return answer.Messages, err
}

// Messages returns the newest messages, at most limit (1 to 1,000), newest first; with a state
// only those in it.
func (c *Client) Messages(ctx context.Context, limit int, state string) ([]Message, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if state != "" {
		q.Set("state", state)
	}
	answer, err := ask[struct{ Messages []Message }](ctx, c, http.MethodGet, "/v1/writeback?"+q.Encode(), "", nil)
	return answer.Messages, err
}

// Message returns a message.
func (c *Client) Message(ctx context.Context, id string) (Message, error) {
	return ask[Message](ctx, c, http.MethodGet, "/v1/writeback/"+url.PathEscape(id), "", nil)
}

// RetryMessage has a message that failed sent again, or one that waits sent now.
func (c *Client) RetryMessage(ctx context.Context, id string) (Message, error) {
	return ask[Message](ctx, c, http.MethodPost, "/v1/writeback/"+url.PathEscape(id)+"/retry", "", nil)
}

// CancelMessage ends a message that the EHR does not have.
func (c *Client) CancelMessage(ctx context.Context, id string) (Message, error) {
	return ask[Message](ctx, c, http.MethodPost, "/v1/writeback/"+url.PathEscape(id)+"/cancel", "", nil)
}

// Endpoints returns the EHRs that the node may write to, by name.
func (c *Client) Endpoints(ctx context.Context) ([]Endpoint, error) {
	answer, err := ask[struct{ Endpoints []Endpoint }](ctx, c, http.MethodGet, "/v1/writeback/endpoints", "", nil)
	return answer.Endpoints, err
}

// WatchMessage returns a message once it is over, or when ctx ends.
func (c *Client) WatchMessage(ctx context.Context, id string, show func(Message)) (Message, error) {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		m, err := c.Message(ctx, id)
		if err != nil {
			return Message{}, err
		}
		if show(m); m.State != "waiting" {
			return m, nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return m, ctx.Err()
		case <-timer.C:
		}
	}
}
