package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/federation/membership"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// The events of a question are each all of its progress, named by a digest of it. So a
// stream needs no memory of what was sent: a client that comes back, here or at another
// replica, says what it saw last and gets what differs from that.
const (
	// streamLife ends a stream, so that none is held open by nobody; clients come back.
	streamLife = 30 * time.Minute

	// beatTime is how often a quiet stream shows that it is alive.
	beatTime = 15 * time.Second

	// quietTime is the least time between two looks: changes of all questions wake a stream.
	quietTime = 100 * time.Millisecond

	// retryTime is how long a client waits before it comes back.
	retryTime = 2 * time.Second
)

func (s *server) routeEvents() {
	s.router.GET("/v1/queries/:id/events", s.router.Handle(s.events))
	op := huma.Operation{
		OperationID: "events", Method: http.MethodGet, Path: "/v1/queries/{id}/events", Summary: "How far a question is, as server-sent events", Tags: []string{"questions"},
		Description: "Each event of type progress has all of the progress as its data, and comes when that has changed. The stream ends with the question, " +
			"or after half an hour; with the header Last-Event-ID it goes on where it was, and status 204 says that there is nothing more to come.",
		Parameters: []*huma.Param{
			{Name: "id", In: "path", Required: true, Description: "Hex digits of the question's digest", Schema: &huma.Schema{Type: huma.TypeString, Pattern: "^[0-9a-f]{8,64}$"}},
			{Name: "Last-Event-ID", In: "header", Description: "The id of the last event that was seen", Schema: &huma.Schema{Type: huma.TypeString}},
		},
		Responses: map[string]*huma.Response{
			"200": {Description: "Events; the schema is of their data", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: s.router.Schema(query.Progress{})}}},
			"204": {Description: "The question is over, and its last event was seen"},
		},
	}
	s.router.API.OpenAPI().AddOperation(&op)
}

func (s *server) events(c *gin.Context) error {
	id, err := s.cfg.Registry.FindQuestion(c.Request.Context(), c.Param("id"))
	if err != nil {
		return err
	}
	client := front.Client(c.Request)
	if !s.streams.open(client) {
		return errStreams
	}
	defer s.streams.close(client)
	last := c.GetHeader("Last-Event-ID")
	changed := s.cfg.Network.Changed() // before reading, or a change in between is missed
	first, name, err := s.progress(c.Request.Context(), id)
	switch {
	case err != nil:
		return err
	case first.State.Final() && name == last:
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
		return nil
	}
	c.Header("Content-Type", "text/event-stream")
	c.Header("X-Accel-Buffering", "no") // a proxy that gathers an answer would gather this for ever
	fmt.Fprintf(c.Writer, "retry: %d\n\n", retryTime.Milliseconds())
	s.stream(c, id, last, changed)
	return nil
}

// stream sends what changes until the question or the stream is over. Its errors are those
// of a client that is gone, or are told to the log: the answer has begun.
func (s *server) stream(c *gin.Context, id query.ID, last string, changed <-chan struct{}) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), s.cfg.streamLife)
	defer cancel()
	again, beat := time.NewTicker(lookAgain), time.NewTicker(s.cfg.beatTime)
	defer again.Stop()
	defer beat.Stop()
	for {
		p, name, err := s.progress(ctx, id)
		if err != nil {
			front.Blame(ctx, s.cfg.Logger, c.FullPath(), err)
			return
		}
		if name != last {
			data, err := json.Marshal(p)
			if err != nil {
				front.Blame(ctx, s.cfg.Logger, c.FullPath(), err)
				return
			}
			if _, err := fmt.Fprintf(c.Writer, "event: progress\nid: %s\ndata: %s\n\n", name, data); err != nil {
				return
			}
			last = name
		}
		c.Writer.Flush()
		if p.State.Final() {
			return
		}
		select {
		case <-changed:
		case <-again.C:
		case <-beat.C:
			if _, err := fmt.Fprint(c.Writer, ": beat\n\n"); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
		pause := time.NewTimer(quietTime)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		changed = s.cfg.Network.Changed()
	}
}

// progress returns how far a question is, as this replica knows, and a name for it: two
// that are alike have the same.
func (s *server) progress(ctx context.Context, id query.ID) (query.Progress, string, error) {
	p, err := s.cfg.Registry.Progress(ctx, id)
	if err != nil {
		return p, "", err
	}
	alive := make(map[identity.DID]bool)
	for _, m := range s.cfg.Network.Present() {
		alive[m.DID] = m.State == membership.Alive
	}
	for i, n := range p.Nodes {
		if n.State == query.NodeWorking && !alive[n.Node] {
			p.Nodes[i].State = query.NodeAway
		}
	}
	raw, err := json.Marshal(p)
	return p, message.Sum(raw).String()[:16], err
}
