package dispatch

import (
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestHonestAnswersFit signs the largest answers that honest nodes of a small
// and of the largest session send, and compares them with what is taken.
func TestHonestAnswersFit(t *testing.T) {
	t.Parallel()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	did := key.DID()
	for _, s := range []struct{ members, words int }{{secagg.MinMembers, 1}, {secagg.MaxMembers, 60_000}} {
		r := &round{session: secagg.Session{Members: make([]identity.DID, s.members), Words: s.words}}
		reveal := secagg.Reveal{From: did, Seeds: make([]secagg.Seed, s.members)}
		vector := secagg.Masked{From: did, Vector: make(secagg.Vector, s.words), Pairs: make([]message.Digest, s.members)}
		for range s.members {
			vector.Boxes = append(vector.Boxes, make([]byte, 56))
		}
		masked, err := json.Marshal(vector)
		require.NoError(t, err)
		for step, body := range map[query.Step]any{
			query.StepMask:    query.MaskedAnswer{Masked: masked},
			query.StepConfirm: secagg.Confirmation{From: did, Signature: make([]byte, 64)},
			query.StepUnmask:  reveal,
		} {
			raw, err := json.Marshal(body)
			require.NoError(t, err)
			e, err := message.Seal(key, query.KindAnswer, query.Answer{Step: step, Body: raw}, time.Now(), time.Hour, rand.Reader)
			require.NoError(t, err)
			reply, err := json.Marshal(e)
			require.NoError(t, err)
			require.Less(t, len(reply), r.sizeOf(step), "%s of %d members and %d words", step, s.members, s.words)
		}
	}
}
