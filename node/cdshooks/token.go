package cdshooks

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/jwks"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Limits of a token: bytes, how long it may still hold, how far two clocks may differ.
const (
	maxToken = 8 << 10
	maxLife  = 5 * time.Minute
	skew     = time.Minute
	maxJTI   = 200
)

// Token is a token that was checked, of a registered EHR.
type Token struct {
	Client Client

	id      [sha256.Size]byte
	expires time.Time
}

// claims are those of a token.
type claims struct {
	Issuer   string   `json:"iss"`
	Audience audience `json:"aud"`
	Expires  *float64 `json:"exp"`
	Issued   *float64 `json:"iat"`
	ID       string   `json:"jti"`
}

// audience is one text, or a list of them.
type audience []string

func (a *audience) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(a))
}

// Verify checks the Authorization header of a request to an address at a moment. The
// token counts once: whoever acts on it calls [Token.redeem] in the transaction that
// makes the act hold. Refusals are of type problem.Error.
//
// Source: CDS Hooks 2.0, "Trusting CDS Clients".
func (c *Clients) Verify(ctx context.Context, authorization, address string, now time.Time) (Token, error) {
	scheme, text, _ := strings.Cut(authorization, " ")
	text = strings.TrimSpace(text)
	if !strings.EqualFold(scheme, "Bearer") || text == "" || len(text) > maxToken {
		return Token{}, untrusted("want a JWT as bearer token")
	}
	signed, err := jose.ParseSignedCompact(text, jwks.Algorithms())
	if err != nil {
		return Token{}, untrusted("want a JWT that is signed by ES384 or RS384")
	}
	header := signed.Signatures[0].Protected
	if kind, _ := header.ExtraHeaders[jose.HeaderType].(string); !strings.EqualFold(kind, "JWT") || header.KeyID == "" {
		return Token{}, untrusted("the token's header wants typ JWT and a kid")
	}
	said, err := readClaims(signed.UnsafePayloadWithoutVerification())
	if err != nil {
		return Token{}, err
	}
	ehr, err := c.one(ctx, said.Issuer)
	if errors.Is(err, ErrUnknown) {
		return Token{}, errSignature
	}
	if err != nil {
		return Token{}, err
	}
	if err := c.verifyBy(ctx, ehr, signed, header, now); err != nil {
		return Token{}, err
	}
	expires := seconds(*said.Expires)
	switch {
	case !slices.Contains(said.Audience, address):
		return Token{}, untrusted("the token's aud is not the address that was called, by the name that this node was given")
	case !now.Before(expires.Add(skew)):
		return Token{}, untrusted("the token has expired")
	case expires.Sub(now) > maxLife+skew:
		return Token{}, untrusted("the token holds for more than five minutes")
	case seconds(*said.Issued).Sub(now) > skew:
		return Token{}, untrusted("the token was issued in the future")
	}
	id := sha256.Sum256([]byte(said.Issuer + "\x00" + said.ID))
	return Token{ehr, id, expires}, nil
}

var errKeys = problem.New(problem.Unavailable, "the EHR's keys could not be fetched from its registered address")

// errSignature does not tell who is registered.
var errSignature = untrusted("the token's issuer is not registered here, or the token is not signed with a key of its")

// verifyBy checks the signature by the registered keys, or by those of a registered
// address that the token names.
func (c *Clients) verifyBy(ctx context.Context, ehr Client, signed *jose.JSONWebSignature, header jose.Header, now time.Time) error {
	keys, err := c.keysOf(ctx, ehr, header, now)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if key.Algorithm != header.Algorithm {
			continue
		}
		if _, err := signed.Verify(key.Key); err == nil {
			return nil
		}
	}
	return errSignature
}

// keysOf returns the keys that a token may be signed with.
func (c *Clients) keysOf(ctx context.Context, ehr Client, header jose.Header, now time.Time) ([]jose.JSONWebKey, error) {
	named, given := header.ExtraHeaders["jku"]
	if !given {
		set, err := ehr.keySet()
		return set.Key(header.KeyID), err
	}
	address, _ := named.(string)
	if !slices.Contains(ehr.KeyURLs, address) {
		return nil, untrusted("the token's jku is not registered for its issuer")
	}
	keys, err := c.keys.Keys(ctx, ehr.Issuer+" "+ehr.Added.String(), address, header.KeyID, now)
	if err != nil {
		return nil, errKeys
	}
	return keys, nil
}

func readClaims(payload []byte) (claims, error) {
	var said claims
	clean, err := canonical.Fields(payload)
	if err != nil || json.Unmarshal(clean, &said) != nil {
		return said, untrusted("the token's claims are malformed")
	}
	const latest = 1 << 40 // seconds, beyond which arithmetic on times is none
	switch {
	case said.Issuer == "" || len(said.Audience) == 0 || said.ID == "" || len(said.ID) > maxJTI || said.Expires == nil || said.Issued == nil:
		return said, untrusted("the token wants iss, aud, exp, iat and jti")
	case *said.Expires < 0 || *said.Expires > latest || *said.Issued < 0 || *said.Issued > latest:
		return said, untrusted("the token's exp or iat is no time")
	}
	return said, nil
}

func seconds(s float64) time.Time { return time.Unix(int64(s), 0) }

// redeem uses the token up, in the transaction that makes hold what was asked with it.
func (t Token) redeem(ctx context.Context, tx *sqldb.Tx, now time.Time) error {
	if _, err := tx.Exec(ctx, `DELETE FROM cds_token WHERE expires_at < ?`, now.Add(-skew).Unix()); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `INSERT INTO cds_token (token, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING`, t.id[:], t.expires.Unix())
	if err == nil && n == 0 {
		err = untrusted("the token was used before")
	}
	return err
}
