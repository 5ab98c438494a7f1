package fhirserver

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// request is one thing to ask of the server.
type request struct {
	what   string // for errors; it names no person
	method string
	url    string
	accept string
	header http.Header // more of it
	token  bool        // send the token

	// body makes the body and its media type, for each try. It may be nil.
	body func() (mediaType string, body io.Reader, err error)

	elsewhere bool // the URL need not be of a known origin: no token goes there
	single    bool // once a server may have it, the caller decides whether it is sent again
}

// Pauses of a client that nobody tells how long to wait.
const (
	firstPause = time.Second
	maxPause   = 2 * time.Minute
)

// pause is what to wait after so many tries, from 1.
func pause(tries int) time.Duration {
	d := firstPause
	for range tries - 1 {
		if d *= 2; d >= maxPause {
			return maxPause
		}
	}
	return d
}

// send sends a request, again if the server is busy or out of reach, and returns its answer
// if that is a success. An expired token is renewed once. The error is a [*StatusError] if
// the server refused.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	renewed := false
	for try := 1; ; try++ {
		resp, token, err := c.once(ctx, r)
		if err == nil && resp.StatusCode < 300 {
			return resp, nil
		}
		rest := pause(try)
		if err == nil {
			if asked, said := c.retryAfter(resp.Header); said {
				rest = asked
			}
			err = c.refusal(r.what, resp)
			if resp.StatusCode == http.StatusUnauthorized && token != "" && !renewed {
				c.forget(token)
				renewed = true
				try--
				continue
			}
		}
		if !Passing(err) || try >= c.cfg.Tries || r.single || ctx.Err() != nil {
			return nil, err
		}
		if err := c.cfg.Wait(ctx, rest); err != nil {
			return nil, err
		}
	}
}

// once sends a request once and returns the token that went with it.
func (c *Client) once(ctx context.Context, r request) (*http.Response, string, error) {
	var token string
	if r.token {
		var err error
		if token, err = c.bearer(ctx); err != nil {
			return nil, "", err
		}
	}
	var body io.Reader
	var mediaType string
	if r.body != nil {
		var err error
		if mediaType, body, err = r.body(); err != nil {
			return nil, "", err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		cancel(nil)
		return nil, "", errors.New("the server gave a link that is no URL")
	}
	if !r.elsewhere {
		if err := c.allowed(req.URL); err != nil {
			cancel(nil)
			return nil, "", err
		}
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", r.accept)
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		cancel(nil)
		return nil, "", fmt.Errorf("%s: %w", r.what, unreached(err))
	}
	resp.Body = &watched{body: resp.Body, cancel: cancel, cause: func() error { return context.Cause(ctx) }, stall: c.cfg.Stall}
	return resp, token, nil
}

// errReach says that there was no answer.
var errReach = errors.New("the server is out of reach")

// unreached is what to tell of an error of net/http. Its URL may name a patient, and it may
// quote what is no HTTP.
func unreached(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var elsewhere *OriginError
	var certificate *tls.CertificateVerificationError
	var network net.Error
	switch {
	case errors.As(err, &elsewhere), errors.As(err, &certificate), errors.Is(err, errRedirects), errors.Is(err, errRewritten), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &network):
		return fmt.Errorf("%w: %w", errReach, err)
	}
	return errReach
}

// retryAfter returns how long the server asks to wait, between a second and Config.MaxWait.
func (c *Client) retryAfter(h http.Header) (time.Duration, bool) {
	text := h.Get("Retry-After")
	var d time.Duration
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = at.Sub(c.cfg.Now())
	} else {
		return 0, false
	}
	return min(max(d, firstPause), max(c.cfg.MaxWait, firstPause)), true
}

// What is wrong with an answer. What encoding/json says of it would quote it.
var (
	errTooLarge = errors.New("the answer is over the limit of its size")
	errJSON     = errors.New("the server's answer is not the JSON it should be")
)

// read returns the body of an answer, of at most Config.MaxAnswer bytes, and closes it.
func (c *Client) read(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = errTooLarge
	}
	return text, err
}

// answer is an answer that was read to its end.
type answer struct {
	status int
	header http.Header
	at     *url.URL // who answered in the end
	text   []byte
}

// whole is send that reads the answer too. One that breaks off is asked for again.
func (c *Client) whole(ctx context.Context, r request) (answer, error) {
	for try := 1; ; try++ {
		resp, err := c.send(ctx, r)
		if err != nil {
			return answer{}, err
		}
		text, err := c.read(resp, c.cfg.MaxAnswer)
		switch {
		case err == nil:
			return answer{resp.StatusCode, resp.Header, resp.Request.URL, text}, nil
		case !Passing(err) || try >= c.cfg.Tries:
			return answer{}, fmt.Errorf("%s: %w", r.what, err)
		}
		if err := c.cfg.Wait(ctx, pause(try)); err != nil {
			return answer{}, err
		}
	}
}

// ask sends a request and reads its JSON answer into v.
func (c *Client) ask(ctx context.Context, r request, v any) error {
	got, err := c.whole(ctx, r)
	if err == nil && json.Unmarshal(got.text, v) != nil {
		err = fmt.Errorf("%s: %w", r.what, errJSON)
	}
	return err
}

// How an answer ends too early.
var (
	errStalled = errors.New("the server went silent in the middle of an answer")
	errBroken  = errors.New("the answer broke off")
)

// watched is a body that does not wait for ever.
type watched struct {
	body   io.ReadCloser
	cancel context.CancelCauseFunc // ends the request
	cause  func() error            // why it ended, nil if it has not
	stall  time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	timer := time.AfterFunc(w.stall, func() { w.cancel(errStalled) })
	n, err := w.body.Read(p)
	timer.Stop()
	switch {
	case err == nil, errors.Is(err, io.EOF):
	case w.cause() != nil:
		err = w.cause()
	default:
		err = errBroken // what the cause says may quote the answer
	}
	return n, err
}

func (w *watched) Close() error {
	err := w.body.Close()
	w.cancel(nil)
	return err
}
