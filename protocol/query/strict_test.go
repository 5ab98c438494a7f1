package query_test

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// TestSignedFieldsThatNobodyKnowsAreRefused: hub and nodes open requests and
// designs, and whoever signed a field that they would drop meant something by it.
func TestSignedFieldsThatNobodyKnowsAreRefused(t *testing.T) {
	t.Parallel()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	seal := func(kind message.Kind, body any, old, changed string) message.Envelope {
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		require.Contains(t, string(raw), old)
		e, err := message.Seal(key, kind, json.RawMessage(strings.Replace(string(raw), old, changed, 1)), now, time.Hour, rand.Reader)
		require.NoError(t, err)
		return e
	}
	good := request()
	good.Analysis = query.Analysis{Kind: query.Moments, By: []query.Stratifier{query.BySex}, Variable: variable()}
	_, err = message.Open[query.Request](seal(query.KindRequest, good, "", ""), query.KindRequest, now)
	require.NoError(t, err)
	for old, changed := range map[string]string{
		`{"trial"`:       `{"foo":1,"trial"`,
		`{"kind"`:        `{"where":"x","kind"`,
		`"by":["sex"]`:   `"bye":["sex"]`,
		`"low":50`:       `"lo":50`,
		`"take":"last",`: `"take":"last","first":true,`,
	} {
		_, err := message.Open[query.Request](seal(query.KindRequest, good, old, changed), query.KindRequest, now)
		require.ErrorIs(t, err, message.ErrMalformed, changed)
	}
	design := trial.Design{ID: "glucose-1", Title: "Glucose"}
	_, err = message.Replay[trial.Design](seal(trial.KindDesign, design, "", ""), trial.KindDesign)
	require.NoError(t, err)
	for old, changed := range map[string]string{`"disclosure"`: `"disclosre"`, `"minCell"`: `"minCel"`, `{"id"`: `{"foo":1,"id"`} {
		_, err := message.Replay[trial.Design](seal(trial.KindDesign, design, old, changed), trial.KindDesign)
		require.ErrorIs(t, err, message.ErrMalformed, changed)
		require.ErrorContains(t, err, "unknown field", changed)
	}
}
