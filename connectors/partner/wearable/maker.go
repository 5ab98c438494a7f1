package wearable

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
)

// maker is how one maker's service is asked. All URLs that get a token or the secret stand
// in these tables.
type maker struct {
	source           string // as documents of connectors/source/wearable name it
	authorize, token string // URLs
	style            oauth2.AuthStyle
	scopes           []string
	pkce             bool              // takes part in PKCE (RFC 7636) with S256
	extra            map[string]string // further parameters of the authorization request
	zoned            bool              // clocks without an offset

	// grant gets tokens where the token endpoint is not that of RFC 6749.
	grant func(ctx context.Context, c *Client, form url.Values) (Tokens, error)

	// account asks for the maker's id of the person. It is nil where the tokens come with
	// it, or where there is none.
	account func(ctx context.Context, c *Client, t Tokens) (string, error)

	// revoke ends an authorization. It is nil where there is no way to.
	revoke func(ctx context.Context, c *Client, t Tokens) error

	// judge refuses an answer that has an error in its body, or says with its header that
	// the next request has to wait. It is nil where there is nothing of either.
	judge func(header http.Header, text []byte) (time.Duration, error)

	feeds []Feed
}

// makers are all of them, by name.
var makers = map[string]*maker{
	"fitbit":     &fitbit,
	"oura":       &oura,
	"garmin":     &garmin,
	"google":     &googleHealth,
	"google-fit": &googleFit,
	"withings":   &withings,
}

// Feed is one kind of data of a maker.
type Feed struct {
	Name string // unique for the maker

	// Days is how many days may be asked for at once, 1 or more.
	Days int

	// request asks for a page of a window; next is empty for the first.
	request func(w Window, next string) request

	// next returns what the page after an answer is asked with, empty for none. It is nil
	// for a feed of one page.
	next func(text []byte) string
}

// Window is the span of days from the midnight From to the midnight To, exclusive, in the
// zone of the account.
type Window struct{ From, To time.Time }

// first and last are the window's days as dates.
func (w Window) first() string { return w.From.Format(time.DateOnly) }

func (w Window) last() string { return w.To.AddDate(0, 0, -1).Format(time.DateOnly) }

// end is the day after the last.
func (w Window) end() string { return w.To.Format(time.DateOnly) }

// get is a request for a URL with parameters.
func get(at string, query url.Values) request {
	if len(query) > 0 {
		at += "?" + query.Encode()
	}
	return request{method: http.MethodGet, url: at}
}

// post is a request with a form.
func post(at string, form url.Values) request {
	return request{method: http.MethodPost, url: at, form: form}
}
