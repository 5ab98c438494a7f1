package ceremony

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// What two parties made proves, is what the transcript makes again, and says whose it is.
func TestTheKeysOfACeremonyProve(t *testing.T) {
	t.Parallel()
	s := theStages(t)
	transcript := open(t, s.finished)
	var told []string
	keys, err := transcript.Verify(t.Context(), func(line string) { told = append(told, line) })
	require.NoError(t, err)
	for _, part := range []string{Powers, minute.String()} {
		for i, key := range s.parties[:2] {
			line := confirmed(transcript.Contributions(part)[i])
			require.Contains(t, told, line)
			require.Contains(t, line, string(key.DID()))
		}
	}

	published := keys[0].Published()
	require.False(t, published.Development)
	require.Equal(t, transcript.Plan().Digest(), published.Ceremony)
	kept, err := prover.CachedKeys(t.Context(), filepath.Join(s.finished, KeysFolder), published, func(context.Context) (io.ReadCloser, error) {
		return nil, errors.New("they are there")
	})
	require.NoError(t, err)
	cache, err := prover.CacheDir()
	require.NoError(t, err)
	epoch, err := prover.DevelopmentKeys(t.Context(), cache, minute.Shape().Epoch())
	require.NoError(t, err)
	p, err := prover.New(prover.Config{Epoch: epoch, Access: kept})
	require.NoError(t, err)
	proof, err := p.Access(t.Context(), answer(t))
	require.NoError(t, err)
	require.NoError(t, keys[0].Verifying().VerifyAccess(proof.Public, proof.Proof))

	require.ErrorIs(t, transcript.Contribute(t.Context(), s.parties[2], "late", now, nothing), ErrFinished)
	require.ErrorIs(t, transcript.Finish(t.Context(), s.parties[2], beacon, "the test", noon, silent), ErrFinished)
	require.Len(t, transcript.Statements(), 8)
}

// answer uses the one record of a shard.
func answer(t *testing.T) circuits.AccessWitness {
	t.Helper()
	person, err := circuits.CommitParticipant(circuits.Element{31: 1}, circuits.Element{31: 2})
	require.NoError(t, err)
	need := consent.MaskOf(consent.Statistics)
	shard := circuits.EpochWitness{Window: circuits.Window{From: 100, To: 200}, Consents: []circuits.Consent{{
		Participant: person, Attributes: circuits.Attributes{Mask: need, Status: circuits.Active, From: 1, To: 300},
	}}}
	for i := range shard.Salts {
		shard.Salts[i] = circuits.Element{31: byte(i + 3)}
	}
	return circuits.AccessWitness{
		Shards: []circuits.ShardUse{{Epoch: shard, Used: []int{0}, Salt: circuits.Element{31: 1}}}, Need: need, Min: 1, QueryHash: circuits.Element{31: 1},
	}
}

// A party that adds nothing, or throws away what others added, is found by whoever verifies,
// though its statement is well signed.
func TestAContributionThatIsNoneIsFound(t *testing.T) {
	t.Parallel()
	s := theStages(t)
	for name, forged := range map[string]func(*testing.T, *Transcript) io.WriterTo{
		"the parameters as they were": func(t *testing.T, transcript *Transcript) io.WriterTo {
			p, err := transcript.parameters(Powers, 2)
			require.NoError(t, err)
			return p
		},
		"those of the first party": func(t *testing.T, transcript *Transcript) io.WriterTo {
			p, err := transcript.parameters(Powers, 1)
			require.NoError(t, err)
			return p
		},
		"without all others": func(_ *testing.T, transcript *Transcript) io.WriterTo {
			p := mpcsetup.NewPhase1(uint64(transcript.domain()))
			p.Contribute()
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copied(t, s.powers)
			transcript := open(t, dir)
			_, err := transcript.keep(Powers, forged(t, transcript), s.parties[2], "forger", noon)
			require.NoError(t, err)
			_, err = open(t, dir).Verify(t.Context(), silent)
			require.ErrorIs(t, err, ErrTranscript)
			require.ErrorContains(t, err, "contribution 3 to powers by "+string(s.parties[2].DID()))
			require.ErrorIs(t, open(t, dir).Finish(t.Context(), s.parties[0], beacon, "the test", noon, silent), ErrTranscript)
		})
	}
}

// The same of a circuit's parameters.
func TestACircuitsContributionThatIsNoneIsFound(t *testing.T) {
	t.Parallel()
	s := theStages(t)
	dir := copied(t, s.circuits)
	transcript := open(t, dir)
	p, err := transcript.parameters(minute.String(), 0)
	require.NoError(t, err)
	p.Contribute() // without those of the others
	_, err = transcript.keep(minute.String(), p, s.parties[2], "forger", noon)
	require.NoError(t, err)
	begins, err := transcript.parameters(minute.String(), 0)
	require.NoError(t, err)
	_, err = transcript.verifyContributions(t.Context(), minute.String(), begins.(*mpcsetup.Phase2), silent)
	require.ErrorIs(t, err, ErrTranscript)
	require.ErrorContains(t, err, "contribution 3 to "+minute.String())
}

func TestDamagedTranscriptsAreRefused(t *testing.T) {
	t.Parallel()
	s := theStages(t)
	edit := func(file string, change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, file)
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, change(raw), 0o600))
		}
	}
	swap := func(old, with string) func([]byte) []byte {
		return func(raw []byte) []byte {
			changed := strings.Replace(string(raw), old, with, 1)
			return []byte(changed)
		}
	}
	for name, c := range map[string]struct {
		damage func(*testing.T, string)
		want   string
	}{
		"a bit":         {edit("powers/002.bin", func(raw []byte) []byte { raw[len(raw)/2] ^= 1; return raw }), "not those that were signed"},
		"cut":           {edit("powers/002.bin", func(raw []byte) []byte { return raw[:len(raw)-1] }), "not those that were signed"},
		"longer":        {edit("powers/002.bin", func(raw []byte) []byte { return append(raw, 0) }), "has more than"},
		"renamed party": {edit("powers/001.json", swap("party 1", "party 9")), "signature"},
		"renumbered":    {edit("powers/001.json", swap(`"number": 1`, `"number": 2`)), "signature"},
		"another plan":  {edit("plan.json", swap("a test", "b test")), "signature"},
		"no statement":  {edit("powers/001.json", func([]byte) []byte { return []byte("[]") }), "no statement"},
		"a field more":  {edit("powers/001.json", swap(`"version"`, `"more":1,"version"`)), "no statement"},
		"another's place": {func(t *testing.T, dir string) {
			raw, err := os.ReadFile(filepath.Join(dir, "powers/002.json"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "powers/001.json"), raw, 0o600))
		}, "does not follow"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copied(t, s.powers)
			c.damage(t, dir)
			transcript, err := Open(dir)
			if err == nil {
				_, err = transcript.Verify(t.Context(), silent)
			}
			require.ErrorIs(t, err, ErrTranscript)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// A file is measured before the library allocates what it claims to hold.
func TestSizesAreCheckedBeforeDecoding(t *testing.T) {
	t.Parallel()
	s := theStages(t)
	transcript := open(t, s.circuits)
	n := transcript.domain()
	raw, err := os.ReadFile(filepath.Join(s.circuits, "powers/002.bin"))
	require.NoError(t, err)
	_, err = readPowers(raw, n)
	require.NoError(t, err)
	for at := range 8 {
		large := slices.Clone(raw)
		large[3*updateSize+at] ^= 0x7f
		_, err := readPowers(large, n)
		require.ErrorContains(t, err, "powers for")
	}

	l := transcript.lengths(minute.String())
	for file, contributed := range map[string]bool{"000.bin": false, "002.bin": true} {
		raw, err := os.ReadFile(filepath.Join(s.circuits, minute.String(), file))
		require.NoError(t, err)
		_, err = l.read(raw, contributed)
		require.NoError(t, err)
		_, err = l.read(raw, !contributed)
		require.ErrorContains(t, err, "bytes of parameters")
		for _, at := range []int{0, 1, 2 + g1Size, 2 + g1Size + 4 + g1Size*l.private} {
			large := slices.Clone(raw)
			large[at] ^= 0x7f
			_, err := l.read(large, contributed)
			require.ErrorContains(t, err, "another circuit")
		}
	}
}

func TestAPhaseWaitsForItsParties(t *testing.T) {
	t.Parallel()
	s := theStages(t)
	dir := t.TempDir()
	transcript, err := Start(dir, "two parties", 2, []circuits.Circuit{minute}, s.parties[2], noon)
	require.NoError(t, err)
	_, err = Start(dir, "again", 2, []circuits.Circuit{minute}, s.parties[2], noon)
	require.ErrorContains(t, err, "holds a ceremony")

	require.NoError(t, transcript.Contribute(t.Context(), s.parties[0], "one", now, nothing))
	require.ErrorIs(t, transcript.Contribute(t.Context(), s.parties[0], "one", now, nothing), ErrContributed)
	err = transcript.Finish(t.Context(), s.parties[2], beacon, "the test", noon, silent)
	require.ErrorContains(t, err, "1 parties contributed to powers, 2 must")
	for _, short := range []string{"", "too short"} {
		require.ErrorContains(t, transcript.Finish(t.Context(), s.parties[2], []byte(short), "the test", noon, silent), "beacon: ")
	}
	require.ErrorContains(t, transcript.Finish(t.Context(), s.parties[2], beacon, "", noon, silent), "source")
	require.Nil(t, transcript.Made())
	_, err = Open(t.TempDir())
	require.ErrorContains(t, err, "holds no ceremony")
}

// What a crash left without a statement does not count, and is made anew.
func TestAnInterruptedContributionBeginsAnew(t *testing.T) {
	t.Parallel()
	s := theStages(t)
	dir := copied(t, s.powers)
	require.NoError(t, os.Remove(filepath.Join(dir, "powers/002.json")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "powers/.making-1"), []byte("half"), 0o600))
	transcript := open(t, dir)
	require.Len(t, transcript.Contributions(Powers), 1)
	require.NoError(t, transcript.Contribute(t.Context(), s.parties[1], "party 2", now, nothing))
	_, err := open(t, dir).Verify(t.Context(), silent)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, open(t, dir).Contribute(ctx, s.parties[2], "stopped", now, nothing), context.Canceled)
}

// The statements alone say what was done, to whoever reads them on a ledger.
func TestStatementsNameEachOther(t *testing.T) {
	t.Parallel()
	list := open(t, theStages(t).finished).Statements()
	seen := make(map[message.Digest]bool)
	for i, e := range list {
		named := 0
		for d := range seen {
			named += strings.Count(string(e.Body), d.String())
		}
		require.Equal(t, i > 0, named > 0, "statement %d", i)
		seen[e.Digest()] = true
	}
}
