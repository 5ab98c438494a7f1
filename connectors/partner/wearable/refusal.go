package wearable

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// What a caller acts on.
var (
	// ErrRevoked says that the authorization is over: the person has to give another.
	ErrRevoked = errors.New("the maker says that the authorization is over")

	// ErrExpired says that the access token is not taken (any more): refresh it.
	ErrExpired = errors.New("the maker does not take the access token")

	// ErrClient says that the maker does not take the site's application, its id or its
	// secret.
	ErrClient = errors.New("the maker does not take the application: is client the id that it gave, and the secret the one for it?")

	// ErrGone says that the maker has turned the interface off.
	ErrGone = errors.New("the maker has turned this interface off")
)

// What passes.
var (
	errReach   = errors.New("the maker is out of reach")
	errTimeout = errors.New("the maker takes too long to answer")
	errBroken  = errors.New("the maker's answer broke off")
)

// What is wrong with an answer. What encoding/json says of it would quote it.
var (
	errTooLarge = errors.New("the maker's answer is over the limit of its size")
	errJSON     = errors.New("the maker's answer is not the JSON it should be")
)

// StatusError is an answer that is no success.
type StatusError struct {
	Status int // of HTTP, or what a status in the body amounts to
}

// Error names the status and no text of the maker.
func (e *StatusError) Error() string {
	if e.Status == http.StatusForbidden {
		return "the maker refuses it (status 403): the person or the application is not allowed it"
	}
	return fmt.Sprintf("the maker answered with status %d", e.Status)
}

// BusyError says that the maker wants no request for a while.
type BusyError struct{ Wait time.Duration }

// Error says how long.
func (e *BusyError) Error() string {
	return fmt.Sprintf("the maker's limit of requests is reached, for %s", e.Wait.Round(time.Second))
}

// Passing reports whether err is trouble that may be gone in a while.
func Passing(err error) bool {
	var busy *BusyError
	var status *StatusError
	if errors.As(err, &status) {
		return status.Status >= 500 || status.Status == http.StatusRequestTimeout
	}
	return errors.As(err, &busy) || errors.Is(err, errReach) || errors.Is(err, errTimeout) || errors.Is(err, errBroken)
}

// Refused reports whether err says that one request was not taken, while others may be: a
// person may allow some kinds of data only.
func Refused(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && !Passing(err)
}

// Unreadable reports whether err says that an answer cannot be used, while that to another
// request may.
func Unreadable(err error) bool { return errors.Is(err, errTooLarge) || errors.Is(err, errJSON) }

// Bounds of the time that a maker may ask to wait, and what is waited if it does not say.
const (
	minWait   = time.Second
	maxWait   = 24 * time.Hour
	usualWait = 15 * time.Minute
)

// refusal is what an answer's status amounts to, nil for a success.
func (c *Client) refusal(status int, header http.Header) error {
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusUnauthorized:
		return ErrExpired
	case status == http.StatusGone:
		return ErrGone
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && header.Get("Retry-After") != "":
		return &BusyError{c.retryAfter(header)}
	}
	return &StatusError{status}
}

// retryAfter is how long the maker asks to wait, in either form of RFC 9110, section 10.2.3.
func (c *Client) retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return bounded(time.Duration(seconds) * time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return bounded(at.Sub(c.cfg.Now()))
	}
	return usualWait
}

func bounded(d time.Duration) time.Duration { return min(max(d, minWait), maxWait) }

// unreached is what to tell of an error of net/http, whose URL may name a person.
func unreached(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errTimeout):
		return errTimeout
	case ctx.Err() != nil:
		return ctx.Err()
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return fmt.Errorf("%w: %w", errReach, certificate)
	}
	return errReach
}
