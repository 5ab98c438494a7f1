package wearable

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// request is one thing to ask of a maker.
type request struct {
	method string
	url    string
	form   url.Values // of a POST
	basic  string     // credentials of the application, empty for none
}

// Answer is one page of a feed.
type Answer struct {
	// Payload is valid JSON as the maker sent it.
	Payload []byte

	// Next is what the page after it is asked with, empty if there is none.
	Next string

	// Wait is how long the maker wants no further request, 0 for not.
	Wait time.Duration
}

// Page fetches a page of a feed for the days of w, the first one with next "". The errors
// are [ErrExpired], [ErrGone], a [*BusyError], a [*StatusError] and those of [Passing].
func (c *Client) Page(ctx context.Context, t Tokens, f Feed, w Window, next string) (Answer, error) {
	text, wait, err := c.ask(ctx, f.request(w, next), t.access)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Payload: text, Wait: wait}
	if f.next != nil {
		a.Next = f.next(text)
	}
	return a, nil
}

// ask sends a request with a token, or with none if that is empty, and returns the JSON of
// a success.
func (c *Client) ask(ctx context.Context, r request, token string) ([]byte, time.Duration, error) {
	header, text, err := c.send(ctx, r, token)
	if err != nil {
		return nil, 0, err
	}
	if !json.Valid(text) {
		return nil, 0, errJSON
	}
	if c.maker.judge == nil {
		return text, 0, nil
	}
	wait, err := c.maker.judge(header, text)
	return text, wait, err
}

// send sends a request and reads its answer to the end.
func (c *Client) send(ctx context.Context, r request, token string) (http.Header, []byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, errTimeout)
	defer cancel()
	var body io.Reader
	if r.form != nil {
		body = strings.NewReader(r.form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		return nil, nil, errJSON // only a page of the maker's can spoil a URL
	}
	req.Header.Set("Accept", "application/json")
	if r.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	switch {
	case token != "":
		req.Header.Set("Authorization", "Bearer "+token)
	case r.basic != "":
		req.Header.Set("Authorization", "Basic "+r.basic)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, unreached(ctx, err)
	}
	defer resp.Body.Close()
	if err := c.refusal(resp.StatusCode, resp.Header); err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, c.cfg.MaxAnswer+1))
	switch {
	case ctx.Err() != nil: // what came may be what the server says to a request that was given up
		return nil, nil, unreached(ctx, ctx.Err())
	case err != nil:
		return nil, nil, errBroken // what the cause says may quote the answer
	case int64(len(text)) > c.cfg.MaxAnswer:
		return nil, nil, errTooLarge
	}
	return resp.Header, text, nil
}

// member asks for an object and returns a text in it, empty if it is not there.
func (c *Client) member(ctx context.Context, r request, t Tokens, name string) (string, error) {
	text, _, err := c.ask(ctx, r, t.access)
	if err != nil {
		return "", err
	}
	var object map[string]any
	if json.Unmarshal(text, &object) != nil {
		return "", errJSON
	}
	value, _ := object[name].(string)
	return value, nil
}
