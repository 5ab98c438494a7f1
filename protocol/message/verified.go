package message

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// maxVerified is how many messages a [Verified] remembers at least, in 32 bytes each. It
// forgets half of twice as many at a time.
const maxVerified = 8192

// Verified remembers which messages were verified, for a party that is handed the same one
// several times: a hub verifies an answer before it proposes to record it, and again where
// it is recorded. Whether a message verifies depends on the message alone, so what is
// remembered changes no outcome. A nil one remembers nothing. It is safe for concurrent use.
type Verified struct {
	mu          sync.Mutex
	now, before map[Digest]struct{}
}

// NewVerified returns one that has verified nothing.
func NewVerified() *Verified { return &Verified{now: make(map[Digest]struct{})} }

// Check is [Envelope.Check].
func (v *Verified) Check(e Envelope, kind Kind) error {
	if v == nil || e.Kind != kind {
		return e.Check(kind)
	}
	whole := e.whole()
	if v.has(whole) {
		return nil
	}
	if err := e.Check(kind); err != nil {
		return err
	}
	v.add(whole)
	return nil
}

func (v *Verified) has(whole Digest) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, now := v.now[whole]
	_, before := v.before[whole]
	return now || before
}

func (v *Verified) add(whole Digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.now) == maxVerified {
		v.now, v.before = make(map[Digest]struct{}), v.now
	}
	v.now[whole] = struct{}{}
}

// whole names everything of e, also its signature and the order of its body's fields.
func (e Envelope) whole() Digest {
	h := sha256.New()
	part := func(b []byte) {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		_, _ = h.Write(b)
	}
	number := func(n int64) { _, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	number(int64(e.Version))
	for _, t := range []time.Time{e.Issued, e.Expires} {
		number(t.Unix())
		number(int64(t.Nanosecond()))
	}
	for _, text := range []string{string(e.Kind), string(e.Issuer), e.Nonce} {
		part([]byte(text))
	}
	part(e.Body)
	part(e.Signature)
	return Digest(h.Sum(nil))
}

// OpenBy is [Open] by a party that remembers what it verified.
func OpenBy[T any](v *Verified, e Envelope, kind Kind, now time.Time) (T, error) {
	var body T
	if err := v.Check(e, kind); err != nil {
		return body, err
	}
	if now.Add(Skew).Before(e.Issued) {
		return body, ErrEarly
	}
	if !now.Before(e.Expires) {
		return body, ErrExpired
	}
	return decode[T](e.Body)
}

// ReplayBy is [Replay] by a party that remembers what it verified.
func ReplayBy[T any](v *Verified, e Envelope, kind Kind) (T, error) {
	if err := v.Check(e, kind); err != nil {
		var none T
		return none, err
	}
	return decode[T](e.Body)
}
