package consent_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// FuzzParseBatch: outside bytes give a batch that reads back as itself, or an error.
func FuzzParseBatch(f *testing.F) {
	for _, seed := range []string{
		`{"envelope":{"kind":"consent.changes"},"leaves":[{"index":3,"new":"00","old":"01","receipt":"02"}]}`,
		`{"envelope":{},"leaves":[]}`, `{"leaves":null,"Leaves":[]}`, `[]`, `{"envelope":{},"leaves":[],"more":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := consent.ParseBatch(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(b)
		require.NoError(t, err)
		back, err := consent.ParseBatch(again)
		if err == nil { // an envelope may hold what has no canonical form
			require.Len(t, back.Leaves, len(b.Leaves))
		}
	})
}

func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	_, err := consent.ParseBatch(make([]byte, 2<<20+1))
	require.ErrorIs(t, err, consent.ErrChanges)
	_, err = consent.ParseBatch([]byte(`{"envelope":{},"leaves":[],"leaves":[]}`))
	require.Error(t, err, "a field twice")
}

// TestLeafSecretIsForEver: receipts of today open leaves of years to come, so these
// values must never be others. They were computed by a program of another language.
func TestLeafSecretIsForEver(t *testing.T) {
	t.Parallel()
	s := consent.LeafSecret{31: 1}
	require.Equal(t, "5bda2be14b8e4d29f5e1fd9a04c9a84c638fb648653e39d83741fb5a9e5242dd", fmt.Sprintf("%x", s.Blind(1)))
	require.Equal(t, "0761ba2983814eb0927a84c0c31cd9124a9bc561f370fe30106cfb2d9af2f877", s.Receipt(1, message.Digest{1}).String())
	seen := map[string]bool{}
	for n := range 3 {
		for _, value := range []string{fmt.Sprintf("%x", s.Blind(n)), s.Receipt(n, message.Digest{}).String(), s.Receipt(n, message.Digest{1}).String()} {
			require.False(t, seen[value])
			seen[value] = true
		}
	}
	require.Equal(t, "leaf secret:redacted", fmt.Sprintf("%v", s))
	var back consent.LeafSecret
	raw, err := json.Marshal(s)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &back))
	require.Equal(t, s, back)
	for _, bad := range []string{`"00"`, `7`, `"` + string(make([]byte, 64)) + `"`} {
		require.Error(t, json.Unmarshal([]byte(bad), &back), bad)
	}
}

// TestStatementsFollowWhatWasSigned: a leaf says what the last message made of the ones
// before it.
func TestStatementsFollowWhatWasSigned(t *testing.T) {
	t.Parallel()
	who, err := identity.Generate(seeded{})
	require.NoError(t, err)
	seal := func(kind message.Kind, body any) message.Envelope {
		e, err := message.Seal(who, kind, body, noon, time.Hour, seeded{})
		require.NoError(t, err)
		return e
	}
	wider := good
	wider.Scopes |= consent.MaskOf(consent.Visits)
	first := seal(consent.KindGrant, good)
	r := consent.Receipt{Trial: good.Trial, Node: good.Node, Participant: who.DID(), Said: []message.Envelope{
		first, seal(consent.KindWithdrawal, consent.Withdrawal{Trial: good.Trial, Node: good.Node, Grant: first.Digest()}),
		seal(consent.KindGrant, wider), seal(consent.KindRefusal, consent.Refusal{Trial: good.Trial, Node: good.Node, Document: good.Document}),
	}}
	said, err := r.Statements()
	require.NoError(t, err)
	for i, want := range []consent.Statement{
		{Grant: good}, {Grant: good, Withdrawn: true}, {Grant: wider}, {Grant: wider, Withdrawn: true},
	} {
		want.Said = r.Said[i].Digest()
		require.Equal(t, want, said[i])
	}
	for name, list := range map[string][]message.Envelope{
		"nothing": nil, "a withdrawal of nothing": r.Said[1:], "no consent": {seal("trial.design", 1)},
	} {
		r.Said = list
		_, err := r.Statements()
		require.ErrorIs(t, err, consent.ErrReceipt, name)
	}
}

// seeded is no randomness at all.
type seeded struct{}

func (seeded) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}
