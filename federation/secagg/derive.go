package secagg

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// domain separates what this package hashes, derives and signs from everything
// else, and its versions from each other.
const domain = "trialmesh/secagg/v1/"

// derive returns 32 bytes for one purpose: HKDF-SHA-256 (RFC 5869) with the
// session's digest as salt.
func derive(secret []byte, session message.Digest, purpose string, context ...string) [32]byte {
	info := encode(purpose, context...)
	key, err := hkdf.Key(sha256.New, secret, session[:], string(info), 32)
	if err != nil {
		panic("secagg: derive 32 bytes: " + err.Error()) // only for lengths that HKDF cannot give
	}
	return [32]byte(key)
}

// encode writes the purpose and the parts, each after its length, so that no
// two lists of parts have the same bytes.
func encode(purpose string, parts ...string) []byte {
	raw := writePart(nil, domain+purpose)
	for _, p := range parts {
		raw = writePart(raw, p)
	}
	return raw
}

func writePart(raw []byte, part string) []byte {
	return append(binary.BigEndian.AppendUint64(raw, uint64(len(part))), part...)
}

// digest is the SHA-256 of encode.
func digest(purpose string, parts ...string) message.Digest {
	return message.Sum(encode(purpose, parts...))
}

// list encodes DIDs as one part.
func list(dids []identity.DID) string {
	var raw []byte
	for _, d := range dids {
		raw = writePart(raw, string(d))
	}
	return string(raw)
}

// vectorTag identifies a vector to whoever knows key. A plain hash would let a
// reader of the guard's store try out small counts.
func vectorTag(key [32]byte, vector []uint64) message.Digest {
	mac := hmac.New(sha256.New, key[:])
	writeWords(mac, vector)
	return message.Digest(mac.Sum(nil))
}

func writeWords(h hash.Hash, words []uint64) {
	var word [8]byte
	for _, w := range words {
		binary.LittleEndian.PutUint64(word[:], w)
		_, _ = h.Write(word[:])
	}
}

// stream is the generator of masks and coefficients: the AES-256-CTR keystream
// of a key that is used for nothing else, from counter 0.
type stream struct {
	cipher cipher.Stream
}

func newStream(key [32]byte) *stream {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("secagg: AES with 32 bytes: " + err.Error()) // only for another key length
	}
	return &stream{cipher.NewCTR(block, make([]byte, aes.BlockSize))}
}

// fill fills p with the next bytes.
func (s *stream) fill(p []byte) {
	clear(p)
	s.cipher.XORKeyStream(p, p)
}

// element returns the next uniform field element.
func (s *stream) element() element {
	var word [8]byte
	for {
		s.fill(word[:])
		if v := binary.LittleEndian.Uint64(word[:]) & prime; v != prime { // once in 2^61
			return element(v)
		}
	}
}

// add adds sign·(the next len(vector) words) to vector, modulo 2^64; sign is 1
// or all ones, which is -1.
func (s *stream) add(vector []uint64, sign uint64) {
	var buffer [4096]byte
	for len(vector) > 0 {
		n := min(len(vector), len(buffer)/8)
		s.fill(buffer[:8*n])
		for i := range vector[:n] {
			vector[i] += sign * binary.LittleEndian.Uint64(buffer[8*i:])
		}
		vector = vector[n:]
	}
}

const (
	plus  = uint64(1)
	minus = ^uint64(0)
)
