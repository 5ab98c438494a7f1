package fhirserver

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// Page is one page of a search. It holds patient data, so it neither prints nor marshals.
type Page struct {
	Resources []json.RawMessage // as sent
	Outcomes  int               // OperationOutcomes, which are not among Resources
	Next      string            // URL of the next page, empty on the last
	Time      time.Time         // by the server's clock, zero if it does not say
}

// Format keeps records out of logs.
func (p Page) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "page of "+strconv.Itoa(len(p.Resources))+" resources")
}

// MarshalJSON keeps records out of documents.
func (Page) MarshalJSON() ([]byte, error) {
	return nil, errors.New("fhir server: a page of records is not to be marshaled")
}

// maxCount is how many resources a page is asked for at most.
const maxCount = 10_000

// SearchURL returns the URL of the first page of a search: a type with parameters, such as
// Observation?category=laboratory, in pages of about count (1 to 10,000) resources, and with
// since only what changed from then on.
func (c *Client) SearchURL(search string, since time.Time, count int) (string, error) {
	kind, parameters, _ := strings.Cut(search, "?")
	query, err := url.ParseQuery(parameters)
	if !typeName.MatchString(kind) || err != nil {
		return "", errors.New("want a search such as Observation?category=laboratory")
	}
	if count < 1 || count > maxCount {
		return "", fmt.Errorf("a page has 1 to %d resources", maxCount)
	}
	query.Set("_count", strconv.Itoa(count))
	if !since.IsZero() {
		query.Add("_lastUpdated", "ge"+instant(since))
	}
	u := c.base.JoinPath(kind)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// maxSearchPages bounds a search whose pages have no end.
const maxSearchPages = 1_000_000

// Links are the pages that a search has led to, so that one that leads in a circle is
// noticed also where it is taken up again. The zero value is empty.
type Links struct{ seen map[[16]byte]struct{} }

// Add notes a page and reports whether it is new.
func (l *Links) Add(page string) bool {
	if l.seen == nil {
		l.seen = make(map[[16]byte]struct{})
	}
	sum := sha256.Sum256([]byte(page))
	short := [16]byte(sum[:16])
	_, known := l.seen[short]
	l.seen[short] = struct{}{}
	return !known && len(l.seen) <= maxSearchPages
}

// Search yields the pages of a search from the URL at on: one of [Client.SearchURL], of
// [Page.Next], or of an operation that answers like a search, such as $everything. What
// the pages lead to is added to led; a page that leads to one of them, or to at, is an
// error. An error is the last thing yielded.
func (c *Client) Search(ctx context.Context, at string, led *Links) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		led.Add(at)
		for at != "" {
			page, err := c.page(ctx, at)
			if err == nil && page.Next != "" && !led.Add(page.Next) {
				page, err = Page{}, fmt.Errorf("search: %w", errLoop)
			}
			if !yield(page, err) || err != nil {
				return
			}
			at = page.Next
		}
	}
}

func (c *Client) page(ctx context.Context, at string) (Page, error) {
	got, err := c.whole(ctx, request{what: "page of a search", method: http.MethodGet, url: at, accept: "application/fhir+json", token: true})
	if err != nil {
		return Page{}, err
	}
	page, err := c.parsePage(got.text, got.at)
	if err != nil {
		return Page{}, fmt.Errorf("page of a search: %w", err)
	}
	page.Time, _ = http.ParseTime(got.header.Get("Date")) // zero if it is none
	return page, nil
}

// parsePage reads a page from the URL at.
func (c *Client) parsePage(text []byte, at *url.URL) (Page, error) {
	var bundle struct {
		Type  string    `json:"resourceType"`
		Kind  string    `json:"type"`
		Link  few[link] `json:"link"`
		Entry few[struct {
			Resource json.RawMessage `json:"resource"`
		}] `json:"entry"`
	}
	if err := unmarshal(text, &bundle); err != nil {
		return Page{}, err
	}
	if bundle.Type != "Bundle" || bundle.Kind != "searchset" {
		return Page{}, errors.New("the server's answer is no Bundle of type searchset")
	}
	next, err := c.next(bundle.Link, at)
	if err != nil {
		return Page{}, err
	}
	page := Page{Next: next}
	for _, e := range bundle.Entry {
		switch {
		case len(e.Resource) == 0:
		case gjson.GetBytes(e.Resource, "resourceType").Str == "OperationOutcome":
			page.Outcomes++
		default:
			page.Resources = append(page.Resources, e.Resource)
		}
	}
	return page, nil
}
