// Package jwks reads the public keys with which programs at a site sign: JSON Web Key Sets
// (RFC 7517), given or published at an address.
//
// [Parse] takes keys that may sign with ES384 or RS384 and refuses a set with a secret in
// it. [Published] fetches the set of an address and keeps it for a while; it leads to no
// address of this machine.
package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Algorithms are those that the keys sign with.
func Algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS384, jose.ES384}
}

// MaxBytes bounds a set of keys.
const MaxBytes = 64 << 10

// Bounds of a set of keys.
const (
	maxKeys    = 32
	maxKeyID   = 255  // bytes of a kid
	minRSABits = 2048 // go-jose bounds it above
)

// What is wrong with a set of keys.
var (
	errKeySet     = errors.New("keys: want a JSON Web Key Set of at most 64 KiB and 32 keys")
	errOneKey     = errors.New(`keys: it is one key, not a set: put it into one as {"keys":[...]}`)
	errOwnKey     = errors.New(`keys: it is one private or symmetric key, which its owner must not give away: want the public half of a new pair, in a set, {"keys":[...]}`)
	errPrivateKey = errors.New("keys: the set holds a private or symmetric key, which its owner must not give away: make a new pair and send the public half")
	errKeyTwice   = errors.New("keys: two keys of the set have one kid")
	errNoKey      = errors.New("keys: the set has no key that can be used: want a kid, and EC on P-384 for ES384 or RSA of 2048 bits or more for RS384")
)

// Parse reads a JSON Web Key Set. Keys that sign nothing here are left out, as RFC
// 7517 section 5 has it; one must remain.
func Parse(text []byte) (jose.JSONWebKeySet, error) {
	var set jose.JSONWebKeySet
	var sent struct {
		Keys []json.RawMessage `json:"keys"`
	}
	var members map[string]json.RawMessage
	if len(text) > MaxBytes || json.Unmarshal(text, &sent) != nil || len(sent.Keys) > maxKeys || json.Unmarshal(text, &members) != nil {
		return set, errKeySet
	}
	switch isKey := members["kty"] != nil && members["keys"] == nil; {
	case isKey && secret(members):
		return set, errOwnKey
	case isKey:
		return set, errOneKey
	}
	for _, one := range sent.Keys {
		var members map[string]json.RawMessage
		if json.Unmarshal(one, &members) != nil {
			return set, errKeySet
		}
		if secret(members) {
			return set, errPrivateKey
		}
		key, usable := parseKey(one)
		if !usable {
			continue
		}
		if len(set.Key(key.KeyID)) > 0 {
			return set, errKeyTwice
		}
		set.Keys = append(set.Keys, key)
	}
	if len(set.Keys) == 0 {
		return set, errNoKey
	}
	return set, nil
}

// secret reports whether a key with these members has more than a public half.
func secret(members map[string]json.RawMessage) bool {
	return slices.ContainsFunc([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}, func(name string) bool { return members[name] != nil })
}

// parseKey reads a public key that can verify a signature, and gives it its algorithm.
func parseKey(text []byte) (jose.JSONWebKey, bool) {
	var sent jose.JSONWebKey
	if json.Unmarshal(text, &sent) != nil || !sent.Valid() || sent.Use != "" && sent.Use != "sig" {
		return sent, false
	}
	key := jose.JSONWebKey{Key: sent.Key, KeyID: sent.KeyID, Use: "sig"}
	switch public := sent.Key.(type) {
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P384() {
			key.Algorithm = string(jose.ES384)
		}
	case *rsa.PublicKey:
		if public.N.BitLen() >= minRSABits {
			key.Algorithm = string(jose.RS384)
		}
	}
	named := key.KeyID != "" && len(key.KeyID) <= maxKeyID
	return key, named && key.Algorithm != "" && (sent.Algorithm == "" || sent.Algorithm == key.Algorithm)
}

// Info says which key there is, without the key.
type Info struct {
	ID         string // kid
	Algorithm  string
	Thumbprint string // of RFC 7638 with SHA-256, to compare with what its owner's people say
}

// Infos says which keys a set has.
func Infos(set jose.JSONWebKeySet) ([]Info, error) {
	list := make([]Info, 0, len(set.Keys))
	for _, key := range set.Keys {
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, err
		}
		list = append(list, Info{key.KeyID, key.Algorithm, base64.RawURLEncoding.EncodeToString(sum)})
	}
	return list, nil
}
