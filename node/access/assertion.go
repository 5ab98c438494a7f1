package access

import (
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/trialmesh/trialmesh/node/jwks"
)

// Bounds of an assertion. A clock may differ from the client's by the skew.
const (
	assertionTime = 5 * time.Minute
	skew          = 30 * time.Second
	maxAssertion  = 16 << 10 // bytes
	maxJTI        = 255      // bytes
)

// assertion is a signed statement that whoever sends it is a client, not yet verified.
type assertion struct {
	token *jwt.JSONWebToken
	// client, kid and keysURL are what it says of itself, to find the key with.
	client, kid, keysURL string
	algorithm            string
}

// parseAssertion reads an assertion that is signed in one of [jwks.Algorithms]. It trusts no
// key that comes with it.
//
// Source: HL7 SMART App Launch 2.2, "Client Authentication: Asymmetric", and RFC 7523.
func parseAssertion(text string) (assertion, *Refusal) {
	if len(text) > maxAssertion {
		return assertion{}, errClient
	}
	token, err := jwt.ParseSigned(text, jwks.Algorithms())
	if err != nil || len(token.Headers) != 1 {
		return assertion{}, errClient
	}
	header := token.Headers[0]
	if kind, said := header.ExtraHeaders[jose.HeaderType]; said && kind != "JWT" {
		return assertion{}, errClient
	}
	a := assertion{token: token, kid: header.KeyID, algorithm: header.Algorithm}
	if from, said := header.ExtraHeaders["jku"]; said {
		a.keysURL, _ = from.(string)
		if a.keysURL == "" {
			return assertion{}, errClient
		}
	}
	var claims jwt.Claims
	if token.UnsafeClaimsWithoutVerification(&claims) != nil || a.kid == "" {
		return assertion{}, errClient
	}
	a.client = claims.Issuer
	return a, nil
}

// verify checks the signature with one of the client's keys, then what it says. It
// returns the jti, and until when it could be used again.
func (a assertion) verify(keys []jose.JSONWebKey, audience string, now time.Time) (jti string, ends time.Time, refused *Refusal) {
	if len(keys) != 1 || keys[0].Algorithm != a.algorithm {
		return "", ends, errClient
	}
	var c jwt.Claims
	if a.token.Claims(keys[0].Key, &c) != nil {
		return "", ends, errClient
	}
	if c.Issuer != a.client || c.Subject != a.client || c.Expiry == nil || c.ID == "" || len(c.ID) > maxJTI {
		return "", ends, errClaims
	}
	ends = c.Expiry.Time()
	switch {
	case len(c.Audience) != 1 || c.Audience[0] != audience:
		return "", ends, errAudience
	case !now.Before(ends.Add(skew)):
		return "", ends, errExpired
	case ends.After(now.Add(assertionTime + skew)):
		return "", ends, errTooLong
	case c.IssuedAt != nil && c.IssuedAt.Time().After(now.Add(skew)), c.NotBefore != nil && c.NotBefore.Time().After(now.Add(skew)):
		return "", ends, errNotYet
	}
	return c.ID, ends, nil
}
