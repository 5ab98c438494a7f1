package cosign_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// cosigned checks that lines are the cosignature of seed over a state.
func cosigned(t *testing.T, c cosign.Checkpoint, lines []byte, seed byte) {
	t.Helper()
	trust := trusting(t, 0)
	trust.Policy = cosign.Threshold(1, keyOf(t, seed))
	_, err := trust.Open(append(signByLog(t, c), lines...))
	require.NoError(t, err)
}

func TestCosignerFollowsALog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := history(nil).grown(t, 300, "a")
	old := int64(0)
	for _, size := range []int64{1, 1, 5, 64, 65, 299, 300} {
		c := open(t, dir, 10) // as after a restart
		require.Equal(t, old, c.Last().Size)
		lines, err := c.Add(t.Context(), log.request(t, old, size))
		require.NoError(t, err)
		cosigned(t, log.at(t, size), lines, 10)
		old = size
	}
}

func TestCosignerRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := history(nil).grown(t, 100, "a")
	other := history(nil).grown(t, 50, "a").grown(t, 50, "b")
	c := open(t, dir, 10)
	_, err := c.Add(t.Context(), log.request(t, 0, 60))
	require.NoError(t, err)

	stranger, err := cosign.NewSigner("other.example.org/log", key(1))
	require.NoError(t, err)
	ofOther, err := cosign.Checkpoint{Origin: "other.example.org/log", Size: 70}.Sign(stranger)
	require.NoError(t, err)
	forged, err := cosign.NewSigner(origin, key(9))
	require.NoError(t, err)
	byOther, err := log.at(t, 70).Sign(forged)
	require.NoError(t, err)
	at60 := func(err error) bool {
		var size *cosign.SizeError
		return errors.As(err, &size) && size.Size == 60
	}
	for name, tc := range map[string]struct {
		body []byte
		is   func(error) bool
	}{
		"no request":              {[]byte("x"), is(cosign.ErrRequest)},
		"another log":             {cosign.Request{Old: 60, Note: ofOther}.Marshal(), is(cosign.ErrOrigin)},
		"another key":             {cosign.Request{Old: 60, Note: byOther}.Marshal(), is(cosign.ErrSignature)},
		"old above new":           {cosign.Request{Old: 60, Note: signByLog(t, log.at(t, 50))}.Marshal(), is(cosign.ErrRequest)},
		"from a smaller size":     {log.request(t, 50, 100), at60},
		"from the beginning":      {log.request(t, 0, 100), at60},
		"a rolled-back log":       {log.request(t, 50, 50), at60},
		"without a proof":         {cosign.Request{Old: 60, Note: signByLog(t, log.at(t, 100))}.Marshal(), is(cosign.ErrProof)},
		"another history's proof": {other.request(t, 60, 100), is(cosign.ErrProof)},
	} {
		_, err := c.Add(t.Context(), tc.body)
		require.True(t, tc.is(err), "%s: %v", name, err)
		require.EqualValues(t, 60, c.Last().Size, name)
	}
	answer, err := c.Answer(t.Context(), log.request(t, 50, 50))
	require.NoError(t, err)
	_, err = cosign.ParseAnswer(answer)
	require.True(t, at60(err))

	require.NoError(t, c.Forked(), "nothing is proven yet")
	lines, err := c.Add(t.Context(), log.request(t, 60, 100))
	require.NoError(t, err, "it goes on with the history that it signed")
	cosigned(t, log.at(t, 100), lines, 10)
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

// TestCosignerAsksItsOwner is a replica, which signs what its own tables have only.
func TestCosignerAsksItsOwner(t *testing.T) {
	t.Parallel()
	behind := errors.New("not applied yet")
	c, err := cosign.Open(cosign.Config{
		Dir: t.TempDir(), Key: identity.NewKey(key(10)), Trust: func() (cosign.Trust, error) { return trusting(t, 0), nil },
		Check: func(context.Context, cosign.Checkpoint) error { return behind },
	})
	require.NoError(t, err)
	_, err = c.Add(t.Context(), history(nil).grown(t, 9, "a").request(t, 0, 9))
	require.ErrorIs(t, err, behind)
	require.Zero(t, c.Last().Size)
}

// TestCosignerThatCannotWriteSignsNothing: a signature that its maker may forget is
// worth nothing.
func TestCosignerThatCannotWriteSignsNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ledger")
	log := history(nil).grown(t, 9, "a")
	c := open(t, dir, 10)
	require.NoError(t, os.RemoveAll(dir))
	lines, err := c.Add(t.Context(), log.request(t, 0, 9))
	require.Error(t, err)
	require.Nil(t, lines)
	require.Zero(t, c.Last().Size)

	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cosigned"), []byte("half a no"), 0o600))
	_, err = cosign.Open(cosign.Config{Dir: dir, Key: identity.NewKey(key(10)), Trust: func() (cosign.Trust, error) { return trusting(t, 0), nil }})
	require.Error(t, err, "it would begin anew, and could sign another history")
}

// TestForkIsEvidence shows two histories to two cosigners, who compare.
func TestForkIsEvidence(t *testing.T) {
	t.Parallel()
	common := history(nil).grown(t, 50, "a")
	one, two := common.grown(t, 50, "a"), common.grown(t, 50, "b")
	for name, sizes := range map[string]struct {
		mine, theirs int64
		proving      history // whose proofs the log gives when it is asked
		proven       bool
	}{
		"of one size":                            {80, 80, one, true},
		"mine is larger, a proof of mine":        {90, 70, one, true},
		"mine is larger, and a power of two":     {90, 64, one, true},
		"mine is smaller, a proof of theirs":     {70, 90, two, true},
		"a proof that leads to another log":      {70, 90, one, false},
		"mine is larger, a proof from elsewhere": {90, 70, two, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			me, other := open(t, dir, 10), open(t, t.TempDir(), 11)
			_, err := me.Add(t.Context(), one.request(t, 0, sizes.mine))
			require.NoError(t, err)
			_, err = other.Add(t.Context(), two.request(t, 0, sizes.theirs))
			require.NoError(t, err)
			require.ErrorIs(t, me.Compare(t.Context(), other.Last().Note, sizes.proving.prove), cosign.ErrForked)

			again := open(t, dir, 10) // as after a restart
			require.ErrorIs(t, again.Forked(), cosign.ErrForked)
			_, err = again.Add(t.Context(), one.request(t, sizes.mine, 100))
			require.ErrorIs(t, err, cosign.ErrForked)
			require.Len(t, again.Forks(), 1)
			fork := again.Forks()[0]
			found, err := fork.Check(trusting(t, 0))
			require.NoError(t, err)
			require.Equal(t, sizes.proven, found.Proven)
			require.Equal(t, []string{origin}, found.Signers, "each cosigner signed one history")

			third := open(t, t.TempDir(), 12)
			require.Equal(t, sizes.proven, third.Keep(t.Context(), fork) == nil, "who saw nothing takes what is proven")
			require.Equal(t, sizes.proven, errors.Is(third.Forked(), cosign.ErrForked))
		})
	}
}

func TestCompareFindsOneHistory(t *testing.T) {
	t.Parallel()
	log := history(nil).grown(t, 100, "a")
	me := open(t, t.TempDir(), 10)
	require.NoError(t, me.Compare(t.Context(), signByLog(t, log.at(t, 70)), log.prove), "nothing to contradict")
	_, err := me.Add(t.Context(), log.request(t, 0, 64))
	require.NoError(t, err)
	for _, size := range []int64{0, 1, 32, 63, 64, 65, 100} {
		require.NoError(t, me.Compare(t.Context(), signByLog(t, log.at(t, size)), log.prove), "size %d", size)
	}
	away := errors.New("the hub is away")
	err = me.Compare(t.Context(), signByLog(t, log.at(t, 70)), func(context.Context, int64, int64) (cosign.Proof, error) { return cosign.Proof{}, away })
	require.ErrorIs(t, err, away)
	require.NoError(t, me.Forked(), "no answer is no evidence")
}

// TestCosignerOfTwoHistories is named in the evidence.
func TestCosignerOfTwoHistories(t *testing.T) {
	t.Parallel()
	one, two := history(nil).grown(t, 80, "a"), history(nil).grown(t, 80, "b")
	fork := cosign.Fork{Earlier: sign(t, one.at(t, 80)), Present: sign(t, two.at(t, 80))}
	read, err := cosign.ParseFork(fork.Marshal())
	require.NoError(t, err)
	found, err := read.Check(trusting(t, 2))
	require.NoError(t, err)
	require.True(t, found.Proven)
	require.ElementsMatch(t, []string{origin, "alpha.example.org", "beta.example.org"}, found.Signers)
}

func TestForkThatIsNone(t *testing.T) {
	t.Parallel()
	one, two := history(nil).grown(t, 90, "a"), history(nil).grown(t, 50, "a").grown(t, 40, "b")
	honest, err := one.prove(t.Context(), 70, 90)
	require.NoError(t, err)
	stranger, err := cosign.NewSigner(origin, key(9))
	require.NoError(t, err)
	forged, err := two.at(t, 90).Sign(stranger)
	require.NoError(t, err)
	early, late := signByLog(t, one.at(t, 70)), signByLog(t, one.at(t, 90))
	lie := honest
	lie.Root = tlog.Hash{1}
	for name, tc := range map[string]struct {
		fork cosign.Fork
		want error
	}{
		"one history":            {cosign.Fork{Earlier: early, Present: late, Proof: &honest}, cosign.ErrNoFork},
		"one checkpoint":         {cosign.Fork{Earlier: late, Present: late}, cosign.ErrNoFork},
		"in the wrong order":     {cosign.Fork{Earlier: late, Present: early, Proof: &honest}, cosign.ErrNoFork},
		"a root that is made up": {cosign.Fork{Earlier: early, Present: late, Proof: &lie}, cosign.ErrNoFork},
		"an empty log":           {cosign.Fork{Earlier: signByLog(t, one.at(t, 0)), Present: late}, cosign.ErrNoFork},
		"another's signature":    {cosign.Fork{Earlier: late, Present: forged}, cosign.ErrUntrusted},
	} {
		_, err := tc.fork.Check(trusting(t, 0))
		require.ErrorIs(t, err, tc.want, name)
		c := open(t, t.TempDir(), 10)
		require.Error(t, c.Keep(t.Context(), tc.fork), name)
		require.NoError(t, c.Forked(), name)
	}
}
