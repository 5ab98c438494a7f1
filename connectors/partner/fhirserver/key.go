package fhirserver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The algorithms that SMART Backend Services asks servers for.
const (
	ES384 = "ES384"
	RS384 = "RS384"
)

// rsaBits is the size of a new RSA key.
const rsaBits = 3072

// Key is a private key and the name the server knows it by. It neither prints nor marshals;
// [Key.Private] writes it for its file.
type Key struct{ jwk jose.JSONWebKey }

// NewKey makes a key for [ES384] or [RS384]. Its name is the thumbprint of RFC 7638.
func NewKey(algorithm string) (Key, error) {
	var private any
	var err error
	switch algorithm {
	case ES384:
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RS384:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		return Key{}, errors.New("a key is for ES384 or RS384")
	}
	if err != nil {
		return Key{}, err
	}
	return newKey(jose.JSONWebKey{Key: private, Algorithm: algorithm, Use: "sig"})
}

// ParseKey reads a private key, as a JSON Web Key or a set with one.
func ParseKey(text []byte) (Key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return Key{}, errors.New("the key file is no JSON Web Key")
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{text}
	}
	for _, one := range set.Keys {
		var jwk jose.JSONWebKey
		if err := json.Unmarshal(one, &jwk); err != nil {
			return Key{}, errors.New("the key file holds a JSON Web Key that is malformed")
		}
		if !jwk.IsPublic() {
			return newKey(jwk)
		}
	}
	return Key{}, errors.New("the key file holds no private key")
}

// newKey checks a key and gives it what it lacks.
func newKey(jwk jose.JSONWebKey) (Key, error) {
	var algorithm string
	switch k := jwk.Key.(type) {
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P384() {
			algorithm = ES384
		}
	case *rsa.PrivateKey:
		if k.N.BitLen() >= 2048 {
			algorithm = RS384
		}
	}
	if algorithm == "" || jwk.Algorithm != "" && jwk.Algorithm != algorithm || !jwk.Valid() {
		return Key{}, errors.New("want an EC key on P-384 for ES384, or an RSA key of 2048 bits or more for RS384")
	}
	jwk.Algorithm = algorithm
	if jwk.KeyID == "" {
		public := jwk.Public()
		thumbprint, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			return Key{}, err
		}
		jwk.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	}
	return Key{jwk}, nil
}

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return k.jwk.Key == nil }

// Algorithm is [ES384] or [RS384].
func (k Key) Algorithm() string { return k.jwk.Algorithm }

// ID is the name of the key, kid in its set and in what it signs.
func (k Key) ID() string { return k.jwk.KeyID }

// Public returns the JSON Web Key Set to register at the server.
func (k Key) Public() ([]byte, error) {
	return json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.jwk.Public()}})
}

// Private returns the JSON Web Key for a file that only its owner can read.
func (k Key) Private() ([]byte, error) { return json.Marshal(k.jwk) }

// Format keeps the key out of logs.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("key:" + k.jwk.KeyID)) }

// MarshalJSON keeps the key out of documents.
func (Key) MarshalJSON() ([]byte, error) {
	return nil, errors.New("fhir server: a private key is written by Private only")
}

// claims are those of an assertion.
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Expiry   int64  `json:"exp"` // seconds since 1970 UTC
	ID       string `json:"jti"`
}

// assertionTime is how long an assertion holds. Five minutes are the most, by the server's
// clock.
const assertionTime = 4 * time.Minute

// assertion is the signed statement that whoever sends it is client, for one use at the token
// endpoint.
//
// Source: HL7 SMART App Launch 2.2, "Client Authentication: Asymmetric".
func (k Key) assertion(client, endpoint string, now time.Time) (string, error) {
	return k.sign(claims{client, client, endpoint, now.Add(assertionTime).Unix(), rand.Text()})
}

func (k Key) sign(c claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.jwk.Algorithm), Key: k.jwk}, new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
