package consent_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/message"
)

var (
	noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	good = consent.Grant{
		Trial: "glucose-1", Node: "did:key:zN", Scopes: consent.MaskOf(consent.Conditions, consent.Statistics),
		From: noon, To: noon.Add(time.Hour), Document: message.Digest{1},
	}
)

func TestGrantPermits(t *testing.T) {
	t.Parallel()
	use := consent.Use{Trial: "glucose-1", Node: "did:key:zN", Scopes: consent.MaskOf(consent.Conditions), At: noon}
	for name, c := range map[string]struct {
		change func(*consent.Use)
		want   bool
	}{
		"as granted":              {func(*consent.Use) {}, true},
		"all scopes":              {func(u *consent.Use) { u.Scopes = good.Scopes }, true},
		"one scope more":          {func(u *consent.Use) { u.Scopes |= consent.MaskOf(consent.Visits) }, false},
		"another trial":           {func(u *consent.Use) { u.Trial = "other" }, false},
		"another node":            {func(u *consent.Use) { u.Node = "did:key:zO" }, false},
		"a second before":         {func(u *consent.Use) { u.At = noon.Add(-time.Second) }, false},
		"the last second":         {func(u *consent.Use) { u.At = noon.Add(time.Hour - time.Second) }, true},
		"the end is not included": {func(u *consent.Use) { u.At = noon.Add(time.Hour) }, false},
	} {
		u := use
		c.change(&u)
		require.Equal(t, c.want, good.Permits(u), name)
	}
}

func TestGrantValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, good.Validate())
	for name, change := range map[string]func(*consent.Grant){
		"no scope":    func(g *consent.Grant) { g.Scopes = 0 },
		"no time":     func(g *consent.Grant) { g.To = g.From },
		"ends first":  func(g *consent.Grant) { g.To = g.From.Add(-time.Second) },
		"before 1970": func(g *consent.Grant) { g.From = time.Unix(-1, 0) },
		"beyond 2106": func(g *consent.Grant) { g.To = time.Unix(math.MaxUint32+1, 0) },
		"no document": func(g *consent.Grant) { g.Document = message.Digest{} },
	} {
		g := good
		change(&g)
		require.Error(t, g.Validate(), name)
	}
}

func TestMaskIsItsNames(t *testing.T) {
	t.Parallel()
	all := []consent.Scope{
		consent.Demographics, consent.Conditions, consent.Medications, consent.Measurements, consent.Procedures, consent.Immunizations,
		consent.Allergies, consent.Visits, consent.Observations, consent.Statistics, consent.RecordAccess,
	}
	rapid.Check(t, func(t *rapid.T) {
		m := consent.MaskOf(rapid.SliceOf(rapid.SampledFrom(all)).Draw(t, "scopes")...)
		raw, err := json.Marshal(m)
		require.NoError(t, err)
		var back consent.Mask
		require.NoError(t, json.Unmarshal(raw, &back))
		require.Equal(t, m, back)
		require.True(t, m.Covers(back))
		require.Equal(t, m, consent.MaskOf(m.Scopes()...))
	})
	raw, err := json.Marshal(consent.MaskOf(consent.Statistics, consent.Demographics))
	require.NoError(t, err)
	require.Equal(t, `["demographics","statistics"]`, string(raw), "ascending by bit")
	_, err = json.Marshal(consent.Mask(1 << 20))
	require.Error(t, err, "a scope without a name")
	var m consent.Mask
	for _, bad := range []string{`["telepathy"]`, `7`, `"conditions"`, `[1]`, `["scope-20"]`} {
		require.Error(t, json.Unmarshal([]byte(bad), &m), bad)
	}
}

func TestEpochCovers(t *testing.T) {
	t.Parallel()
	e := consent.Epoch{Shards: []consent.Shard{{From: noon, To: noon.Add(2 * time.Hour)}, {From: noon.Add(time.Hour), To: noon.Add(3 * time.Hour)}}}
	for after, want := range map[time.Duration]bool{0: false, time.Hour: true, 2*time.Hour - 1: true, 2 * time.Hour: false} {
		require.Equal(t, want, e.Covers(noon.Add(after)), "%s", after)
	}
	require.False(t, consent.Epoch{}.Covers(noon), "no shard covers nothing")
}
