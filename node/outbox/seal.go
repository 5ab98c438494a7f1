package outbox

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// sealer keeps the content of messages from who has the database and not the node's secret,
// and makes their identifiers.
type sealer struct {
	content cipher.AEAD
	names   []byte
}

func newSealer(secret []byte) (sealer, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "trialmesh outbox content", 32)
	if err != nil {
		return sealer{}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, err
	}
	var s sealer
	if s.content, err = cipher.NewGCM(block); err != nil {
		return sealer{}, err
	}
	s.names, err = hkdf.Key(sha256.New, secret, nil, "trialmesh outbox identifier", 32)
	return s, err
}

// identifier is the value of the identifier of a resource at an endpoint: 32 hex digits. The
// same content has the same one. Without the secret it tells nothing of that, as logs of
// servers will hold it.
func (s sealer) identifier(endpoint, resourceType string, content []byte) string {
	h := hmac.New(sha256.New, s.names)
	sum := sha256.Sum256(content)
	for _, part := range []string{endpoint, resourceType, "content " + hex.EncodeToString(sum[:])} {
		_, _ = h.Write([]byte(part)) // never fails
		_, _ = h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// close seals the content of the message with an identifier.
func (s sealer) close(identifier string, content []byte) []byte {
	nonce := make([]byte, s.content.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return s.content.Seal(nonce, nonce, content, []byte(identifier))
}

var errSeal = errors.New("the content was sealed by another node, or is damaged")

func (s sealer) open(identifier string, sealed []byte) ([]byte, error) {
	n := s.content.NonceSize()
	if len(sealed) < n {
		return nil, errSeal
	}
	content, err := s.content.Open(nil, sealed[:n], sealed[n:], []byte(identifier))
	if err != nil {
		return nil, errSeal
	}
	return content, nil
}
