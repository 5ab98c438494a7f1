package pki

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"go.step.sm/crypto/jose"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Token is the secret of an invitation: a JWT (RFC 7519) that lets its bearer
// enroll one node, once, under the name it carries. It prints as
// "token:redacted"; only JSON shows it.
type Token string

// Format prints no part of the token, whatever the verb.
func (Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "token:redacted") }

// LogValue keeps the token out of structured logs.
func (Token) LogValue() slog.Value { return slog.StringValue("token:redacted") }

const (
	maxToken    = 2048 // bytes
	provisioner = "invitation"
	tokenID     = 16 // random bytes
)

// tokens makes and checks tokens. The audience contains the root's fingerprint,
// which binds a token to one authority.
type tokens struct {
	key      ed25519.PrivateKey
	public   *jose.JSONWebKey
	audience string
}

// grant is what a valid token says.
type grant struct {
	name    string
	expires time.Time
}

type claims struct {
	jose.Claims
	SANs []string `json:"sans"` // read by smallstep
}

func newTokens(key ed25519.PrivateKey, authority string) (*tokens, error) {
	public := &jose.JSONWebKey{Key: key.Public(), Algorithm: jose.EdDSA, Use: "sig"}
	id, err := jose.Thumbprint(public)
	if err != nil {
		return nil, fmt.Errorf("identify token key: %w", err)
	}
	public.KeyID = id
	return &tokens{key: key, public: public, audience: "https://" + authority + "/1.0/sign"}, nil
}

// make signs a token for name that is valid until expires, a whole second.
func (t *tokens) make(name string, expires time.Time) (Token, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: t.key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", t.public.KeyID))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	id := make([]byte, tokenID)
	_, _ = rand.Read(id) // never fails: crypto/rand
	text, err := jose.Signed(signer).Claims(claims{
		Claims: jose.Claims{
			ID:       base64.RawURLEncoding.EncodeToString(id),
			Issuer:   provisioner,
			Subject:  name,
			Audience: jose.Audience{t.audience},
			Expiry:   jose.NewNumericDate(expires),
		},
		SANs: []string{name},
	}).CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return Token(text), nil
}

// verify returns what token grants at now, else [ErrToken] or
// [ErrTokenExpired]. It comes before smallstep's own check because that one
// spends a token before it looks at the signature: a forged token could then
// burn a real one and would cost a replicated write each time.
func (t *tokens) verify(token Token, now time.Time) (grant, error) {
	if len(token) > maxToken {
		return grant{}, ErrToken
	}
	parsed, err := jose.ParseSigned(string(token))
	if err != nil || len(parsed.Headers) != 1 || parsed.Headers[0].KeyID != t.public.KeyID || parsed.Headers[0].Algorithm != jose.EdDSA {
		return grant{}, ErrToken
	}
	var c claims
	if err := parsed.Claims(t.public, &c); err != nil {
		return grant{}, ErrToken
	}
	if c.Issuer != provisioner || !c.Audience.Contains(t.audience) || c.ID == "" || c.Expiry == nil || identity.CheckName(c.Subject) != nil {
		return grant{}, ErrToken
	}
	if !now.Before(c.Expiry.Time()) {
		return grant{}, ErrTokenExpired
	}
	return grant{name: c.Subject, expires: c.Expiry.Time()}, nil
}

// expiryOf reads the expiry of a token that verify has accepted.
func expiryOf(token string) (time.Time, error) {
	parsed, err := jose.ParseSigned(token)
	if err != nil {
		return time.Time{}, ErrToken
	}
	var c jose.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&c); err != nil {
		return time.Time{}, ErrToken
	}
	if c.Expiry == nil {
		return time.Time{}, errors.New("token without an expiry")
	}
	return c.Expiry.Time(), nil
}
