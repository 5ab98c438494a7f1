package vectors_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

var update = flag.Bool("update", false, "write the vectors that this implementation computes")

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// golden returns the vectors of a file, after writing make's if asked to. What
// make computes must be what the file says.
func golden[T any](t *testing.T, name string, made T) T {
	t.Helper()
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(made))
	if *update {
		require.NoError(t, os.WriteFile(name, text.Bytes(), 0o644))
	}
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(raw), text.String(), "%s is not what this implementation computes", name)
	var v T
	require.NoError(t, json.Unmarshal(raw, &v))
	return v
}

func key(t *testing.T, first byte) identity.Key {
	t.Helper()
	seed := make([]byte, 32)
	seed[0] = first
	k, err := identity.Generate(bytes.NewReader(seed))
	require.NoError(t, err)
	return k
}

type keyVector struct {
	Seed      string       `json:"seed"`
	PublicKey string       `json:"publicKey"`
	DID       identity.DID `json:"did"`
	Message   string       `json:"message"`
	Signature string       `json:"signature"`
}

type identityVectors struct {
	Keys    []keyVector `json:"keys"`
	Refused []string    `json:"refused"`
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	var made identityVectors
	for i := range byte(3) {
		k := key(t, i)
		public, err := k.DID().PublicKey()
		require.NoError(t, err)
		const text = "glücose"
		made.Keys = append(made.Keys, keyVector{
			Seed: hex.EncodeToString(k.Private().Seed()), PublicKey: hex.EncodeToString(public), DID: k.DID(),
			Message: text, Signature: hex.EncodeToString(k.Sign([]byte(text))),
		})
	}
	made.Refused = []string{"", "did:web:example.org", string(made.Keys[0].DID) + "1", string(made.Keys[0].DID)[:40], "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"}
	for _, v := range golden(t, "identity.json", made).Refused {
		_, err := identity.ParseDID(v)
		require.ErrorIs(t, err, identity.ErrDID, v)
	}
}

type canonicalVector struct {
	JSON      string `json:"json"`
	Canonical string `json:"canonical,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
	Refused   bool   `json:"refused,omitempty"`
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	var made []canonicalVector
	for _, text := range []string{
		`{"b": [1, 2.50, 1E30, -0, 0.000001, 1e-7], "a": "\u20ac\u000f\n\"\\\/"}`, `{"\ufb33": 1, "\ud83d\ude00": 2, "": 3}`, ` null `, `"<&>"`,
		`9007199254740992`, `333333333.33333329`, `{"trial":"glucose-1","trial":"other"}`, `9007199254740993`, `1e400`, `"\ud800"`, `[1,]`, `{} {}`,
	} {
		v := canonicalVector{JSON: text}
		if raw, err := canonical.Transform([]byte(text)); err != nil {
			v.Refused = true
		} else {
			v.Canonical, v.SHA256 = string(raw), message.Sum(raw).String()
		}
		made = append(made, v)
	}
	refused := 0
	for _, v := range golden(t, "canonical.json", made) {
		if v.Refused {
			refused++
		}
	}
	require.Equal(t, 6, refused)
}

type envelopeVector struct {
	Name     string           `json:"name"`
	Kind     message.Kind     `json:"kind"`
	At       time.Time        `json:"at"`
	Envelope message.Envelope `json:"envelope"`
	Signed   string           `json:"signed,omitempty"`
	Digest   string           `json:"digest,omitempty"`
	Refused  string           `json:"refused,omitempty"`
}

func grant(t *testing.T) consent.Grant {
	t.Helper()
	return consent.Grant{
		Trial: "glucose-1", Node: key(t, 1).DID(), Scopes: consent.MaskOf(consent.Conditions, consent.Measurements, consent.Statistics),
		From: noon, To: noon.Add(365 * 24 * time.Hour), Document: message.Sum([]byte("consent form")),
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	nonce := bytes.NewReader(bytes.Repeat([]byte{0xab}, 16))
	good, err := message.Seal(key(t, 0), consent.KindGrant, grant(t), noon, time.Hour, nonce)
	require.NoError(t, err)
	change := func(fn func(*message.Envelope)) message.Envelope {
		e := good
		e.Body, e.Signature = bytes.Clone(e.Body), bytes.Clone(e.Signature)
		fn(&e)
		return e
	}
	made := []envelopeVector{
		{Name: "a grant", Kind: consent.KindGrant, At: noon, Envelope: good},
		{Name: "as another kind", Kind: consent.KindWithdrawal, At: noon, Envelope: good},
		{Name: "too early", Kind: consent.KindGrant, At: noon.Add(-3 * time.Minute), Envelope: good},
		{Name: "too late", Kind: consent.KindGrant, At: noon.Add(time.Hour), Envelope: good},
		{Name: "another issuer", Kind: consent.KindGrant, At: noon, Envelope: change(func(e *message.Envelope) { e.Issuer = key(t, 1).DID() })},
		{Name: "another body", Kind: consent.KindGrant, At: noon, Envelope: change(func(e *message.Envelope) {
			e.Body = bytes.Replace(e.Body, []byte("glucose-1"), []byte("glucose-2"), 1)
		})},
		{Name: "a damaged signature", Kind: consent.KindGrant, At: noon, Envelope: change(func(e *message.Envelope) { e.Signature[0] ^= 1 })},
		{Name: "another version", Kind: consent.KindGrant, At: noon, Envelope: change(func(e *message.Envelope) { e.Version = 2 })},
	}
	for i := range made {
		v := &made[i]
		_, err := message.Open[consent.Grant](v.Envelope, v.Kind, v.At)
		var refusal *problem.Error
		if errors.As(err, &refusal) {
			v.Refused = refusal.Rule
			continue
		}
		require.NoError(t, err)
		bare := v.Envelope
		bare.Signature = nil
		raw, err := canonical.Marshal(bare)
		require.NoError(t, err)
		v.Signed, v.Digest = "trialmesh envelope v1\n"+string(raw), v.Envelope.Digest().String()
		sum := sha256.Sum256([]byte(v.Signed))
		require.Equal(t, v.Digest, hex.EncodeToString(sum[:]))
		require.NoError(t, identity.Verify(v.Envelope.Issuer, []byte(v.Signed), v.Envelope.Signature))
	}
	want := []string{"", "message.kind", "message.not-yet-valid", "message.expired", "message.signature", "message.signature", "message.signature", "message.version"}
	for i, v := range golden(t, "envelope.json", made) {
		require.Equal(t, want[i], v.Refused, v.Name)
	}
}

type useVector struct {
	Scopes  consent.Mask `json:"scopes"`
	At      time.Time    `json:"at"`
	Permits bool         `json:"permits"`
}

type consentVectors struct {
	Scopes []string      `json:"scopes"`
	Mask   string        `json:"mask"`
	Grant  consent.Grant `json:"grant"`
	Uses   []useVector   `json:"uses"`
}

func TestConsent(t *testing.T) {
	t.Parallel()
	g := grant(t)
	made := consentVectors{Grant: g, Mask: strconv.FormatUint(uint64(g.Scopes), 10)}
	for _, s := range g.Scopes.Scopes() {
		made.Scopes = append(made.Scopes, s.String())
	}
	permits := []bool{true, false, false, false}
	for i, u := range []consent.Use{
		{Scopes: consent.MaskOf(consent.Conditions, consent.Statistics), At: g.From},
		{Scopes: consent.MaskOf(consent.Visits), At: g.From},
		{Scopes: g.Scopes, At: g.To},
		{Scopes: g.Scopes, At: g.From.Add(-time.Second)},
	} {
		u.Trial, u.Node = g.Trial, g.Node
		require.Equal(t, permits[i], g.Permits(u))
		made.Uses = append(made.Uses, useVector{u.Scopes, u.At, g.Permits(u)})
	}
	golden(t, "consent.json", made)
}

type questionVector struct {
	Request  json.RawMessage `json:"request"`
	Question message.Digest  `json:"question"`
	Scopes   consent.Mask    `json:"scopes"`
}

func TestQuestion(t *testing.T) {
	t.Parallel()
	const cohort = `{"PrimaryCriteria":{"CriteriaList":[{"ConditionOccurrence":{}}],"ObservationWindow":{"PriorDays":0,"PostDays":0}}}`
	var made []questionVector
	for _, text := range []string{
		`{"trial":"glucose-1","cohort":` + cohort + `,"analysis":{"kind":"count","by":["sex"]},"purpose":"safety"}`,
		`{"purpose":"another","analysis":{"by":["sex"],"kind":"count"},"cohort":` + cohort + `,"trial":"glucose-1"}`,
		`{"trial":"glucose-1","cohort":` + cohort + `,"analysis":{"kind":"moments","variable":{"concept":3004249,"unit":"mm[Hg]","take":"last","low":50,"high":250.5}},"purpose":"safety"}`,
	} {
		var r query.Request
		require.NoError(t, json.Unmarshal([]byte(text), &r))
		require.NoError(t, r.Validate())
		v := questionVector{Request: json.RawMessage(text)}
		var err error
		v.Question, err = r.Question()
		require.NoError(t, err)
		v.Scopes, err = r.Scopes()
		require.NoError(t, err)
		made = append(made, v)
	}
	list := golden(t, "question.json", made)
	require.Equal(t, list[0].Question, list[1].Question)
	require.NotEqual(t, list[0].Question, list[2].Question)
}

type accessVector struct {
	Venue query.Venue     `json:"venue"`
	Node  identity.DID    `json:"node"`
	Query query.ID        `json:"query"`
	Hash  consent.Element `json:"hash"`
}

func TestAccess(t *testing.T) {
	t.Parallel()
	var made []accessVector
	for _, chain := range []uint64{1, 31337} {
		v := accessVector{
			Venue: query.Venue{ChainID: chain, Contract: "0x00112233445566778899aabbccddeeff00112233"}, Node: key(t, 1).DID(), Query: message.Sum([]byte("question")),
		}
		var err error
		v.Hash, err = v.Venue.Hash(v.Node, v.Query)
		require.NoError(t, err)
		made = append(made, v)
	}
	golden(t, "access.json", made)
}

type entryVector struct {
	Entry ledger.Entry   `json:"entry"`
	Leaf  string         `json:"leaf"`
	Hash  message.Digest `json:"hash"`
}

func TestEntry(t *testing.T) {
	t.Parallel()
	var made []entryVector
	for kind := ledger.NodeEnrolled; kind <= ledger.ChainAnchored; kind++ {
		e := ledger.Entry{V: ledger.Version, Kind: kind, At: noon, Actor: key(t, 0).DID(), Subject: "glucose-1", Digest: message.Sum([]byte{byte(kind)})}
		leaf, err := e.Marshal()
		require.NoError(t, err)
		back, err := ledger.Parse(leaf)
		require.NoError(t, err)
		require.Equal(t, e, back)
		made = append(made, entryVector{e, string(leaf), message.Sum(append([]byte{0}, leaf...))})
	}
	golden(t, "entry.json", made)
}
