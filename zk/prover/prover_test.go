package prover

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

func TestProofsVerifyAgainstRecomputedStatements(t *testing.T) {
	t.Parallel()
	p := smallProver(t)
	e, err := p.Epoch(t.Context(), epoch(t, small, "a"))
	require.NoError(t, err)
	a, err := p.Access(t.Context(), access(t, small, "a"))
	require.NoError(t, err)

	// The reader has leaves, roots and the question, and nothing from the prover.
	var leaves []circuits.Element
	for _, c := range epoch(t, small, "a").Consents {
		leaf, err := c.Leaf()
		require.NoError(t, err)
		leaves = append(leaves, leaf)
	}
	root, err := circuits.ShardRoot(small.ShardSize, leaves)
	require.NoError(t, err)
	require.NoError(t, p.epoch.Verifying().VerifyEpoch(circuits.EpochPublic{
		ShardRoot: root, Window: today, MatrixRoot: e.Public.MatrixRoot,
	}, e.Proof))

	digest, err := circuits.MatrixDigest(small, []circuits.Element{e.Public.MatrixRoot})
	require.NoError(t, err)
	scopes, err := circuits.PackScopes(consent.MaskOf(consent.Conditions, consent.Statistics), small.Slots)
	require.NoError(t, err)
	require.NoError(t, p.access.Verifying().VerifyAccess(circuits.AccessPublic{
		MatrixDigest: digest, UsedDigest: a.Public.UsedDigest, QueryHash: secret("question", 0), Scopes: scopes, Min: 2,
	}, a.Proof))
}

func TestEpochProofHoldsForItsStatementOnly(t *testing.T) {
	t.Parallel()
	p := smallProver(t)
	e, err := p.Epoch(t.Context(), epoch(t, small, "a"))
	require.NoError(t, err)
	for name, change := range map[string]func(*circuits.EpochPublic){
		"shard root":   func(p *circuits.EpochPublic) { p.ShardRoot = secret("other", 0) },
		"window start": func(p *circuits.EpochPublic) { p.Window.From-- },
		"window end":   func(p *circuits.EpochPublic) { p.Window.To++ },
		"matrix root":  func(p *circuits.EpochPublic) { p.MatrixRoot = secret("other", 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			public := e.Public
			change(&public)
			require.ErrorIs(t, p.epoch.Verifying().VerifyEpoch(public, e.Proof), verifier.ErrInvalid)
		})
	}
}

func TestAccessProofHoldsForItsStatementOnly(t *testing.T) {
	t.Parallel()
	p := smallProver(t)
	a, err := p.Access(t.Context(), access(t, small, "a"))
	require.NoError(t, err)

	// Pitfalls 5 and 6: the roots of another epoch, or of another node.
	other, err := epoch(t, small, "b").Public(small.Epoch())
	require.NoError(t, err)
	otherDigest, err := circuits.MatrixDigest(small, []circuits.Element{other.MatrixRoot})
	require.NoError(t, err)

	for name, change := range map[string]func(*circuits.AccessPublic){
		"matrix root of another epoch": func(p *circuits.AccessPublic) { p.MatrixDigest = otherDigest },
		"other records":                func(p *circuits.AccessPublic) { p.UsedDigest = secret("other", 0) },
		"another question":             func(p *circuits.AccessPublic) { p.QueryHash = secret("question", 1) },
		"more scopes":                  func(p *circuits.AccessPublic) { p.Scopes++ },
		"a higher minimum":             func(p *circuits.AccessPublic) { p.Min++ },
		"a lower minimum":              func(p *circuits.AccessPublic) { p.Min-- },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			public := a.Public
			change(&public)
			require.ErrorIs(t, p.access.Verifying().VerifyAccess(public, a.Proof), verifier.ErrInvalid)
		})
	}
}

func TestProverRefusesABadWitnessByItsPlace(t *testing.T) {
	t.Parallel()
	p := smallProver(t)
	start := time.Now()

	bad := access(t, small, "a")
	bad.Shards[0].Used = []int{0, 2}
	_, err := p.Access(t.Context(), bad)
	require.EqualError(t, err, "prove access: shard 0: record 2: used without a consent in force for scope 1")

	unreduced := epoch(t, small, "a")
	for i := range unreduced.Consents[1].Participant {
		unreduced.Consents[1].Participant[i] = 0xff
	}
	_, err = p.Epoch(t.Context(), unreduced)
	require.EqualError(t, err, "prove epoch: record 1: participant commitment: not a canonical field element")
	require.ErrorIs(t, err, circuits.ErrElement)
	require.Less(t, time.Since(start), 2*time.Second, "refused before anything is computed")
}

func TestProverErrorsQuoteNoWitness(t *testing.T) {
	t.Parallel()
	// The solver's own message would carry the values that did not match.
	p := smallProver(t)
	assignment, _, err := access(t, small, "a").Assign(small.Access())
	require.NoError(t, err)
	_, err = p.prove(t.Context(), p.epoch, assignment)
	require.Error(t, err)
	require.NotRegexp(t, `\d`, err.Error())
}

func TestProofJSONRoundTrip(t *testing.T) {
	t.Parallel()
	a, err := smallProver(t).Access(t.Context(), access(t, small, "a"))
	require.NoError(t, err)
	raw, err := json.Marshal(a)
	require.NoError(t, err)
	var back circuits.AccessProof
	require.NoError(t, json.Unmarshal(raw, &back))
	require.Equal(t, a, back)
	require.Less(t, len(raw), 1024, "a proof is small")
}

func TestWaitForATurnEndsWithTheContext(t *testing.T) {
	t.Parallel()
	shared := smallProver(t)
	p, err := New(Config{Epoch: shared.epoch, Access: shared.access, Parallel: 1})
	require.NoError(t, err)
	p.turns <- struct{}{} // somebody else's proof

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Epoch(ctx, epoch(t, small, "a"))
	require.ErrorIs(t, err, context.Canceled)

	<-p.turns
	_, err = p.Epoch(ctx, epoch(t, small, "a"))
	require.ErrorIs(t, err, context.Canceled, "nothing is begun for a caller who is gone")
}

func TestNewRefusesKeysThatDoNotBelongTogether(t *testing.T) {
	t.Parallel()
	p := smallProver(t)
	of := func(c circuits.Circuit) *Keys { return &Keys{published: Published{Circuit: c}} }
	larger := of(circuits.Shape{ShardSize: 64, Shards: 2, Slots: 2}.Access())
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"no epoch keys":       {Config{Access: p.access}, "epoch circuit are missing"},
		"no access keys":      {Config{Epoch: p.epoch}, "access circuit are missing"},
		"exchanged":           {Config{Epoch: p.access, Access: p.epoch}, "epoch circuit are missing"},
		"other shard size":    {Config{Epoch: p.epoch, Access: larger}, "differ in shard size"},
		"too many at once":    {Config{Epoch: p.epoch, Access: p.access, Parallel: 65}, "65 proofs"},
		"negative parallel":   {Config{Epoch: p.epoch, Access: p.access, Parallel: -1}, "-1 proofs"},
		"cover of other size": {Config{Epoch: p.epoch, Access: p.access, Cover: larger}, "the cover is access-64x2x2, not cover-4x2x2"},
		"no aggregate":        {Config{Epoch: p.epoch, Access: p.access, Release: of(arms.Release())}, "aggregate circuit are missing"},
		"other aggregate": {
			Config{Epoch: p.epoch, Access: p.access, Aggregate: of(circuits.Tally{ShardSize: 16, Groups: 2, Values: 1}.Aggregate())}, "no aggregate over shards of 4",
		},
		"other cells": {
			Config{Epoch: p.epoch, Access: p.access, Aggregate: of(arms.Aggregate()), Noise: of(circuits.Tally{Shards: 2, Groups: 4, Values: 1}.Noise())},
			"the release is noise-2x4x1, not noise-2x2x1",
		},
		"release for noise": {
			Config{Epoch: p.epoch, Access: p.access, Aggregate: of(arms.Aggregate()), Noise: of(arms.Release())}, "the release is release-2x2x1, not noise-2x2x1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(c.config)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestWitnessesNeitherPrintNorMarshal(t *testing.T) {
	t.Parallel()
	w := access(t, small, "a")
	for _, v := range []any{w, w.Shards, w.Shards[0], w.Shards[0].Epoch, w.Shards[0].Epoch.Salts, w.Shards[0].Epoch.Consents} {
		printed := fmt.Sprintf("%v %+v %#v %s %x", v, v, v, v, v)
		require.NotContains(t, strings.ReplaceAll(printed, "redacted", ""), "0x")
		require.NotRegexp(t, `[0-9a-f]{8}`, printed)
		_, err := json.Marshal(v)
		require.ErrorContains(t, err, "must not leave the node")
	}
}
