package fhirserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// StatusError is an answer that is no success.
type StatusError struct {
	What   string   // was asked
	Status int      // of HTTP
	Codes  []string // of the OperationOutcome or of OAuth, such as processing or invalid_client
	Places []string // elements that the OperationOutcome is about, such as Task.intent

	// Wait is how long the server asks to wait before the next try, within Config.MaxWait. It
	// is 0 if the server does not say.
	Wait time.Duration

	created bool // it is about a resource that was sent
}

// Error names what was asked, the status, the codes and the elements, and no text of the
// server.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s: the server answered with status %d", e.What, e.Status)
	if len(e.Codes) > 0 {
		text += " (" + strings.Join(e.Codes, ", ") + ")"
	}
	if len(e.Places) > 0 {
		text += " at " + strings.Join(e.Places, ", ")
	}
	return text
}

// busy are the statuses of a server that may do it later.
var busy = []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// passing are the codes of issue-type for what may work when it is tried again.
var passing = []string{"transient", "timeout", "throttled", "lock-error", "no-store", "incomplete"}

// Passing reports whether err is trouble of the server or of the way to it, that may be gone
// in a while.
func Passing(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return slices.Contains(busy, status.Status) || status.transient()
	}
	return errors.Is(err, errReach) || errors.Is(err, errStalled) || errors.Is(err, errBroken)
}

// transient reports whether a server error says of itself that it may pass.
func (e *StatusError) transient() bool {
	return e.Status >= 500 && slices.ContainsFunc(e.Codes, func(code string) bool { return slices.Contains(passing, code) })
}

// maxRefusal is how much of a refusal is read.
const maxRefusal = 1 << 20

// place is what the path of an element looks like, and no value does.
var place = regexp.MustCompile(`^[A-Z][A-Za-z]{1,63}(\.[a-z][A-Za-z]{0,63}(\[[0-9]{1,4}\])?){1,8}$`)

// maxCodes is how many codes and elements of a refusal are told.
const maxCodes = 5

// refusal reads an answer that is no success and closes it.
func (c *Client) refusal(what string, resp *http.Response) error {
	e := &StatusError{What: what, Status: resp.StatusCode}
	e.Wait, _ = c.retryAfter(resp.Header)
	text, err := c.read(resp, maxRefusal)
	if err != nil {
		return e
	}
	var answer struct {
		Issue []struct {
			Code       string   `json:"code"`
			Expression []string `json:"expression"`
		} `json:"issue"`
		Error json.RawMessage `json:"error"` // of OAuth, where it is a text
	}
	if json.Unmarshal(text, &answer) != nil {
		return e
	}
	var oauth string
	if json.Unmarshal(answer.Error, &oauth) == nil && isCode(oauth) {
		e.Codes = append(e.Codes, oauth)
	}
	for _, issue := range answer.Issue {
		if isCode(issue.Code) && !slices.Contains(e.Codes, issue.Code) && len(e.Codes) < maxCodes {
			e.Codes = append(e.Codes, issue.Code)
		}
		for _, at := range issue.Expression {
			if place.MatchString(at) && !slices.Contains(e.Places, at) && len(e.Places) < maxCodes {
				e.Places = append(e.Places, at)
			}
		}
	}
	return e
}
