package message_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

const kind message.Kind = "test.note"

type note struct {
	Trial string  `json:"trial"`
	N     int64   `json:"n"`
	X     float64 `json:"x"`
}

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newKey(t testing.TB) identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return k
}

func sealed(t testing.TB, key identity.Key, body any) message.Envelope {
	t.Helper()
	e, err := message.Seal(key, kind, body, now, time.Hour, rand.Reader)
	require.NoError(t, err)
	return e
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	want := note{"glucose <&>\u2028", 42, 1.5}
	e := sealed(t, key, want)
	raw, err := json.Marshal(e)
	require.NoError(t, err)
	back, err := message.Parse(raw)
	require.NoError(t, err)
	require.Equal(t, e.Digest(), back.Digest())
	got, err := message.Open[note](back, kind, now)
	require.NoError(t, err)
	require.Equal(t, want, got)
	stored, err := message.Stored[note](back, kind)
	require.NoError(t, err)
	require.Equal(t, want, stored)
	_, err = message.Stored[note](back, "another.kind")
	require.ErrorIs(t, err, message.ErrKind)
	require.Equal(t, key.DID(), back.Issuer)
	require.NotEqual(t, e.Digest(), sealed(t, key, want).Digest(), "a nonce tells two equal messages apart")

	// Layout and time zone are not part of what is signed.
	wide, err := json.MarshalIndent(e, "", "   ")
	require.NoError(t, err)
	back, err = message.Parse([]byte(strings.Replace(string(wide), "2026-11-21T12:00:00Z", "2026-11-21T13:00:00+01:00", 1)))
	require.NoError(t, err)
	require.Equal(t, e.Digest(), back.Digest())
	_, err = message.Open[note](back, kind, now)
	require.NoError(t, err)
}

func TestWindow(t *testing.T) {
	t.Parallel()
	e := sealed(t, newKey(t), note{})
	for at, want := range map[time.Duration]error{
		-message.Skew - time.Second: message.ErrEarly, -message.Skew: nil, 0: nil,
		time.Hour - time.Second: nil, time.Hour: message.ErrExpired, 1000 * time.Hour: message.ErrExpired,
	} {
		_, err := message.Open[note](e, kind, now.Add(at))
		require.ErrorIs(t, err, want, "%s", at)
		if want == nil {
			require.NoError(t, err)
		}
		_, err = message.Replay[note](e, kind)
		require.NoError(t, err, "years later")
	}
	for _, ttl := range []time.Duration{0, -time.Hour, message.MaxLifetime + time.Second, time.Millisecond} {
		_, err := message.Seal(newKey(t), kind, note{}, now, ttl, rand.Reader)
		require.ErrorIs(t, err, message.ErrLifetime, "%s", ttl)
	}
}

// TestEveryFieldIsSigned changes one field at a time, also of a message that was verified
// before.
func TestEveryFieldIsSigned(t *testing.T) {
	t.Parallel()
	other := newKey(t).DID()
	for name, c := range map[string]struct {
		change func(*message.Envelope)
		want   error
	}{
		"version":        {func(e *message.Envelope) { e.Version = 2 }, message.ErrVersion},
		"kind":           {func(e *message.Envelope) { e.Kind = "test.other" }, message.ErrKind},
		"issuer":         {func(e *message.Envelope) { e.Issuer = other }, message.ErrSignature},
		"no issuer":      {func(e *message.Envelope) { e.Issuer = "" }, message.ErrSignature},
		"issued":         {func(e *message.Envelope) { e.Issued = e.Issued.Add(-time.Second) }, message.ErrSignature},
		"expires":        {func(e *message.Envelope) { e.Expires = e.Expires.Add(time.Second) }, message.ErrSignature},
		"centuries":      {func(e *message.Envelope) { e.Expires = e.Expires.Add(math.MaxInt64).Add(math.MaxInt64).Add(2) }, message.ErrLifetime}, // 2^64 ns
		"endless":        {func(e *message.Envelope) { e.Expires = e.Issued.Add(message.MaxLifetime + 1) }, message.ErrLifetime},
		"nonce":          {func(e *message.Envelope) { e.Nonce = strings.Repeat("00", 16) }, message.ErrSignature},
		"short nonce":    {func(e *message.Envelope) { e.Nonce = "00" }, message.ErrMalformed},
		"no nonce":       {func(e *message.Envelope) { e.Nonce = "" }, message.ErrMalformed},
		"body":           {func(e *message.Envelope) { e.Body = bytes.Replace(e.Body, []byte("7"), []byte("8"), 1) }, message.ErrSignature},
		"no body":        {func(e *message.Envelope) { e.Body = nil }, message.ErrSignature},
		"body, no JSON":  {func(e *message.Envelope) { e.Body = []byte("{") }, message.ErrMalformed},
		"body too large": {func(e *message.Envelope) { e.Body = make([]byte, message.MaxBody+1) }, message.ErrMalformed},
		"signature":      {func(e *message.Envelope) { e.Signature[9] ^= 1 }, message.ErrSignature},
		"no signature":   {func(e *message.Envelope) { e.Signature = nil }, message.ErrSignature},
	} {
		e := sealed(t, newKey(t), note{"x", 7, 0})
		verified := message.NewVerified()
		for range 2 {
			_, err := message.OpenBy[note](verified, e, kind, now)
			require.NoError(t, err)
		}
		c.change(&e)
		_, err := message.Open[note](e, kind, now)
		require.ErrorIs(t, err, c.want, name)
		_, err = message.OpenBy[note](verified, e, kind, now)
		require.ErrorIs(t, err, c.want, name)
	}
}

// TestChangedBytes: whoever changes a byte of what was sent has a message that
// is refused, or the same message.
func TestChangedBytes(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	e := sealed(t, key, note{"glucose", 9007199254740992, 0.1})
	raw, err := json.Marshal(e)
	require.NoError(t, err)
	want, err := message.Open[note](e, kind, now)
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		changed := bytes.Clone(raw)
		i := rapid.IntRange(0, len(raw)-1).Draw(t, "place")
		changed[i] = rapid.Byte().Draw(t, "byte")
		back, err := message.Parse(changed)
		if err != nil {
			return
		}
		got, err := message.Open[note](back, kind, now)
		if err != nil {
			return
		}
		require.Equal(t, want, got)
		require.Equal(t, e.Digest(), back.Digest())
		require.Equal(t, key.DID(), back.Issuer)
	})
}

// TestBodyHasOneMeaning: what readers of JSON disagree on is refused, however
// validly it is signed.
func TestBodyHasOneMeaning(t *testing.T) {
	t.Parallel()
	e := sealed(t, newKey(t), note{N: 9007199254740992})
	e.Body = bytes.Replace(e.Body, []byte("9007199254740992"), []byte("9007199254740993"), 1)
	_, err := message.Open[note](e, kind, now)
	require.Error(t, err, "two integers with one canonical form")

	for _, body := range []string{
		`{"trial":"a","Trial":"b"}`, `{"trial":"a","n":1,"x":0,"unknown":1}`, `{"trial":1}`, `{"n":1.5}`, `[]`, `"x"`, `{"n":9223372036854775808.0}`,
		"{\"trial\":\"a\",\"tr\u0131al\":\"b\"}",
	} {
		e := sealed(t, newKey(t), json.RawMessage(body))
		_, err := message.Open[note](e, kind, now)
		require.ErrorIs(t, err, message.ErrMalformed, body)
	}
	nested := sealed(t, newKey(t), json.RawMessage(`{"a":[{"K":1,"\u212a":2}]}`))
	_, err = message.Open[map[string]any](nested, kind, now)
	require.ErrorIs(t, err, message.ErrMalformed, "the Kelvin sign folds to k")
	for _, body := range []string{`{"a":1,"a":2}`, `{"n":9007199254740993}`, "\"\xff\""} {
		_, err := message.Seal(newKey(t), kind, json.RawMessage(body), now, time.Hour, rand.Reader)
		require.Error(t, err, body)
	}
}

// TestSignatureOfOneKindIsWorthlessForAnother, and so is one over plain bytes.
func TestSignatureOfOneKindIsWorthlessForAnother(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	e := sealed(t, key, note{})
	_, err := message.Open[note](e, "test.other", now)
	require.ErrorIs(t, err, message.ErrKind)
	e.Kind = "test.other"
	_, err = message.Open[note](e, "test.other", now)
	require.ErrorIs(t, err, message.ErrSignature)

	e = sealed(t, key, note{})
	plain := e
	plain.Signature = nil
	raw, err := json.Marshal(plain)
	require.NoError(t, err)
	e.Signature = key.Sign(raw) // without the domain
	_, err = message.Open[note](e, kind, now)
	require.ErrorIs(t, err, message.ErrSignature)
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	good, err := json.Marshal(sealed(t, newKey(t), note{}))
	require.NoError(t, err)
	for _, raw := range [][]byte{
		nil, []byte("{"), []byte("[]"), []byte("7"), append(bytes.Clone(good), 'x'), good[:len(good)-1], bytes.Replace(good, []byte(`"kind"`), []byte(`"kind":"a","kind"`), 1),
		bytes.Replace(good, []byte(`"kind"`), []byte(`"extra":1,"kind"`), 1), bytes.Replace(good, []byte(`"kind"`), []byte(`"Kind":"a","kind"`), 1), make([]byte, 2*message.MaxBody+1),
	} {
		_, err := message.Parse(raw)
		require.ErrorIs(t, err, message.ErrMalformed, "%.60q", raw)
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	_, err := message.Seal(newKey(t), kind, strings.Repeat("x", message.MaxBody), now, time.Hour, rand.Reader)
	require.ErrorContains(t, err, "limit")
	_, err = message.Seal(newKey(t), kind, note{}, now, time.Hour, bytes.NewReader(nil))
	require.ErrorContains(t, err, "nonce")
	_, err = message.Seal(newKey(t), kind, func() {}, now, time.Hour, rand.Reader)
	require.Error(t, err)
}

func TestDigestText(t *testing.T) {
	t.Parallel()
	d := message.Sum([]byte("x"))
	text, err := d.MarshalText()
	require.NoError(t, err)
	var back message.Digest
	require.NoError(t, back.UnmarshalText(text))
	require.Equal(t, d, back)
	for _, bad := range []string{"", "00", fmt.Sprintf("%x", d[:31]), d.String() + "00", strings.Repeat("z", 64)} {
		require.Error(t, back.UnmarshalText([]byte(bad)))
	}
}

func FuzzParse(f *testing.F) {
	good, err := json.Marshal(sealed(f, newKey(f), note{"a", 1, 2}))
	require.NoError(f, err)
	f.Add(good)
	f.Add([]byte(`{"version":1,"kind":"x","issuer":"","issued":"0001-01-01T00:00:00Z","expires":"0001-01-01T00:00:00Z","nonce":"","body":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := message.Parse(raw)
		if err != nil {
			return
		}
		_ = e.Digest()
		if _, err := message.Open[note](e, kind, now); err != nil {
			return
		}
		out, err := json.Marshal(e)
		require.NoError(t, err)
		again, err := message.Parse(out)
		require.NoError(t, err)
		require.Equal(t, e.Digest(), again.Digest())
	})
}
