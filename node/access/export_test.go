package access

import (
	"time"

	"github.com/trialmesh/trialmesh/node/jwks"
)

// Verify checks an assertion with the keys of a set, and returns whose it is and its jti.
func Verify(text string, keySet []byte, audience string, now time.Time) (client, jti string, err error) {
	set, err := jwks.Parse(keySet)
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
