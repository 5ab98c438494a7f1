package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// A node is held by its own word alone, and only by what came since it was resumed.
func TestANodeThatForgotIsHeld(t *testing.T) {
	t.Parallel()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	other, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	now := time.Now().Truncate(time.Second)
	word := func(k identity.Key, change func(*query.Answer)) *message.Envelope {
		a := query.Answer{Query: query.ID{1}, Step: query.StepAsk, Body: json.RawMessage(`{}`)}
		change(&a)
		e, err := message.Seal(k, query.KindAnswer, a, now, time.Hour, rand.Reader)
		require.NoError(t, err)
		return &e
	}
	yes := word(key, func(*query.Answer) {})
	forged := *yes
	forged.Body = json.RawMessage(`{}`)
	for name, c := range map[string]struct {
		last    *message.Envelope
		knows   bool
		resumed time.Time
		held    bool
		want    string
	}{
		"no answer yet":  {},
		"known":          {last: yes, knows: true},
		"unknown":        {last: yes, held: true, want: errHeld.Error()},
		"resumed before": {last: yes, resumed: now.Add(-time.Second), held: true, want: errHeld.Error()},
		"resumed since":  {last: yes, resumed: now},
		"another's":      {last: word(other, func(*query.Answer) {}), want: "malformed"},
		"altered":        {last: &forged, want: "malformed"},
		"a refusal":      {last: word(key, func(a *query.Answer) { a.Refusal = &problem.Document{} }), want: "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held := false
			err := recollection{
				self: key.DID(), resumed: c.resumed,
				decided: func(context.Context, query.ID) (bool, error) { return c.knows, nil },
				hold: func(context.Context, time.Time) error {
					held = true
					return nil
				},
			}.check(t.Context(), c.last)
			require.Equal(t, c.held, held)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

// Whoever is held already is not held again: an operator's resume stands until the next start.
func TestANodeIsHeldOnce(t *testing.T) {
	t.Parallel()
	n := &Node{cfg: Config{Dir: t.TempDir()}}
	n.held.Store(true)
	require.NoError(t, n.holdForgotten(t.Context(), time.Now()))
	at, err := Held(n.cfg.Dir)
	require.NoError(t, err)
	require.Zero(t, at)
}
