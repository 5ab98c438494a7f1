package secagg_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/secagg"
)

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	w := newNetwork(4, 1)
	x := w.run(t, [][]uint64{{1}, {2}, {3}, {4}}, until{4, 4, 4, 1})
	raw := func(v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return string(b)
	}
	masked, roster, reveal := raw(x.masked[0]), raw(x.roster), raw(x.reveals[0])
	box, share := raw(x.masked[0].Boxes[0]), raw(x.reveals[0].Shares[0])
	for name, decode := range map[string]func() error{
		"empty":            refusal[secagg.Masked](""),
		"wrong type":       refusal[secagg.Masked](`[]`),
		"null":             refusal[secagg.Masked](`null`),
		"truncated":        refusal[secagg.Masked](masked[:len(masked)-1]),
		"trailing data":    refusal[secagg.Masked](masked + "{}"),
		"an unknown field": refusal[secagg.Masked](`{"x":1,` + masked[1:]),
		"no vector":        refusal[secagg.Masked](strings.Replace(masked, `"vector":"`, `"vector":"","x":"`, 1)),
		"half a word":      refusal[secagg.Masked](`{"session":"` + w.session.Digest().String() + `","from":"` + string(w.sites[0].did()) + `","vector":"AAAA"}`),
		"not a did":        refusal[secagg.Masked](strings.Replace(masked, "did:key:z6Mk", "did:web:z6Mk", 1)),
		"too large":        refusal[secagg.Masked](`"` + strings.Repeat("A", secagg.MaxMessage) + `"`),
		"a long box":       refusal[secagg.Masked](strings.Replace(masked, `"boxes":["`, `"boxes":["AAAA`, 1)),
		"too many boxes":   refusal[secagg.Inbox](`{"boxes":[` + strings.Repeat(box+",", secagg.MaxMembers) + box + `]}`),
		"too many shares":  refusal[secagg.Reveal](`{"from":"` + string(w.sites[0].did()) + `","shares":[` + strings.Repeat(share+",", secagg.MaxMembers) + share + `]}`),
		"few commitments":  refusal[secagg.Masked](strings.Replace(masked, `"`+x.masked[0].Pairs[0].String()+`",`, "", 1)),
		"a short seed":     refusal[secagg.Reveal](strings.Replace(reveal, `"seeds":["`, `"seeds":["00`, 1)),
		"a short key":      refusal[secagg.Roster](strings.Replace(roster, `"key":"`, `"key":"00`, 1)),
		"a short digest":   refusal[secagg.Roster](strings.Replace(roster, `"commitment":"`, `"commitment":"00`, 1)),
		"no signature":     refusal[secagg.Advertisement](`{"from":"` + string(w.sites[0].did()) + `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Error(t, decode())
		})
	}
}

func refusal[T secagg.Message](text string) func() error {
	return func() error { _, err := secagg.Decode[T]([]byte(text)); return err }
}

func TestDecodeErrorsDoNotRepeatInput(t *testing.T) {
	t.Parallel()
	_, err := secagg.Decode[secagg.Reveal]([]byte(`{"4711":4711}`))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "4711")
}

func FuzzDecode(f *testing.F) {
	w := newNetwork(4, 2)
	x := w.run(f, [][]uint64{{1, 2}, {3, 4}, {5, 6}, {7, 8}}, until{4, 4, 4, 1})
	for _, v := range []any{
		x.roster.Members[0], x.roster, x.masked[0], x.inboxes[x.survivors[0]], x.confirmations[0], x.reveals[0],
	} {
		raw, err := json.Marshal(v)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		again[secagg.Advertisement](t, raw)
		again[secagg.Roster](t, raw)
		again[secagg.Inbox](t, raw)
		again[secagg.Masked](t, raw)
		again[secagg.Confirmation](t, raw)
		again[secagg.Reveal](t, raw)
	})
}

// again requires that what decodes survives another round.
func again[T secagg.Message](t *testing.T, raw []byte) {
	m, err := secagg.Decode[T](raw)
	if err != nil {
		return
	}
	written, err := json.Marshal(m)
	require.NoError(t, err)
	back, err := secagg.Decode[T](written)
	require.NoError(t, err)
	rewritten, err := json.Marshal(back)
	require.NoError(t, err)
	require.Equal(t, written, rewritten)
}

// FuzzMember gives a member whatever a hub may send it. Whatever it accepts must
// be what the honest hub sent.
func FuzzMember(f *testing.F) {
	w := newNetwork(3, 1)
	x := w.run(f, [][]uint64{{1}, {2}, {3}}, all(3))
	in := x.inboxes[x.survivors[0]]
	roster, err := json.Marshal(x.roster)
	require.NoError(f, err)
	inbox, err := json.Marshal(in)
	require.NoError(f, err)
	f.Add(roster, inbox)
	f.Fuzz(func(t *testing.T, rosterJSON, inboxJSON []byte) {
		r, err := secagg.Decode[secagg.Roster](rosterJSON)
		if err != nil {
			return
		}
		b, err := secagg.Decode[secagg.Inbox](inboxJSON)
		if err != nil {
			return
		}
		fresh := w.sites[0]
		fresh.guard = &memory{}
		m := fresh.member(t, w.session)
		if masked, err := m.Mask(t.Context(), r, []uint64{1}); err == nil {
			require.Equal(t, x.masked[0], masked)
		}
		if reveal, err := m.Unmask(t.Context(), r, x.survivors, nil, b); err == nil {
			require.Equal(t, x.reveals[0], reveal)
		}
	})
}
