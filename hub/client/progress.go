package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// silence is how long a stream of events may say nothing: the hub beats every 15 s.
const silence = 45 * time.Second

// resume is how long to wait before a stream that the hub ended is opened again.
const resume = time.Second

// maxEvent bounds one line of a stream, in bytes: the progress of 256 nodes.
const maxEvent = 1 << 20

// ErrSilent says that a stream of events broke without a word.
var ErrSilent = errors.New("the hub's events have stopped coming")

// Progress follows a question, by its id or a prefix: it yields how far it is at once and
// after each change, until the question is over. An error is the last that it yields; the
// question can still be asked for with [Client.Question].
func (c *Client) Progress(ctx context.Context, id string) iter.Seq2[query.Progress, error] {
	return func(yield func(query.Progress, error) bool) {
		last := ""
		for {
			over, err := c.follow(ctx, id, &last, yield)
			if err != nil {
				yield(query.Progress{}, err)
				return
			}
			if over {
				return
			}
			select { // a stream has its time; one that ends at once is no reason to hurry
			case <-time.After(resume):
			case <-ctx.Done():
				yield(query.Progress{}, ctx.Err())
				return
			}
		}
	}
}

// follow reads one stream after the event last, and reports whether there is no more to
// come: the question is over or yield has heard enough. A stream that the hub ended goes on
// with the next.
func (c *Client) follow(ctx context.Context, id string, last *string, yield func(query.Progress, error) bool) (over bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(ErrSilent) })
	defer quiet.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.origin+"/v1/queries/"+url.PathEscape(id)+"/events", nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if *last != "" {
		req.Header.Set("Last-Event-ID", *last)
	}
	stream := &http.Client{Transport: c.http.Transport} // without the limit on the time of a request
	resp, err := stream.Do(req)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnreachable, errors.Join(context.Cause(ctx), err))
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNoContent:
		return true, nil
	case resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream"):
		raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		var d problem.Document
		if json.Unmarshal(raw, &d) != nil || d.Type == "" {
			return false, fmt.Errorf("the hub answered with status %d", resp.StatusCode)
		}
		return false, d.Err()
	}
	events := bufio.NewScanner(resp.Body)
	events.Buffer(nil, maxEvent)
	name := ""
	for events.Scan() {
		quiet.Reset(silence)
		switch field, value, _ := strings.Cut(events.Text(), ": "); field {
		case "id":
			name = value
		case "data":
			var p query.Progress
			if err := json.Unmarshal([]byte(value), &p); err != nil {
				return false, errors.New("the hub's event is malformed")
			}
			*last = name
			if !yield(p, nil) || p.State.Final() {
				return true, nil
			}
		}
	}
	if err := events.Err(); err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnreachable, errors.Join(context.Cause(ctx), err))
	}
	return false, nil
}
