package access

import (
	"context"
	"net/http"
	"time"
)

// Verify checks an assertion with the keys of a set, and returns whose it is and its jti.
func Verify(text string, keySet []byte, audience string, now time.Time) (client, jti string, err error) {
	set, err := parseKeys(keySet)
	if err != nil {
		return "", "", err
	}
	a, refused := parseAssertion(text)
	if refused != nil {
		return "", "", refused
	}
	jti, _, refused = a.verify(set.Key(a.kid), audience, now)
	if refused != nil {
		return "", "", refused
	}
	return a.client, jti, nil
}

// Grant is what of the wanted scopes a client with s gets, and its text.
func (s Scopes) Grant(wanted string) (Scopes, string) { return s.grant(wanted) }

// Guarded reports why no connection is made to an address.
func Guarded(address string) error { return guarded("tcp", address, nil) }

// DialPublished connects as is done to where a client publishes its keys, by default.
func DialPublished(ctx context.Context, address string) error {
	conn, err := newPublished(Config{}).http.Transport.(*http.Transport).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// WaitForKeys sets how long a client's server may take to answer.
func (s *Service) WaitForKeys(d time.Duration) { s.published.http.Timeout = d }
