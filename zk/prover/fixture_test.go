package prover

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// small is the shape of the tests: its two setups take a few seconds.
var small = circuits.Shape{ShardSize: 4, Shards: 2, Slots: 2}

// minute is the smallest circuit there is, for tests that need several setups.
var minute = circuits.Shape{ShardSize: 4, Shards: 1, Slots: 1}.Access()

// keyDir holds the keys of minute; TestMain removes it.
var keyDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "trialmesh-keys-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	keyDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// sharedProver is made once: a setup costs more than all the proofs here.
var sharedProver = sync.OnceValues(func() (*Prover, error) { return proverOf(small) })

// proverOf takes its keys from the user's cache, as tests of other packages do.
func proverOf(s circuits.Shape) (*Prover, error) {
	keys, err := cachedKeys(s.Epoch(), s.Access())
	if err != nil {
		return nil, err
	}
	return New(Config{Epoch: keys[0], Access: keys[1]})
}

func cachedKeys(list ...circuits.Circuit) ([]*Keys, error) {
	dir, err := CacheDir()
	if err != nil {
		return nil, err
	}
	keys := make([]*Keys, len(list))
	for i, c := range list {
		if keys[i], err = DevelopmentKeys(context.Background(), dir, c); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func smallProver(t testing.TB) *Prover {
	t.Helper()
	p, err := sharedProver()
	require.NoError(t, err)
	return p
}

func secret(label string, i int) circuits.Element {
	return circuits.Truncate(sha256.Sum256(binary.BigEndian.AppendUint64([]byte(label), uint64(i))))
}

const day = 86400

var today = circuits.Window{From: 20000 * day, To: 20001 * day}

// epoch fills all but one slot of a shard; every third consent is withdrawn.
func epoch(t testing.TB, s circuits.Shape, label string) circuits.EpochWitness {
	t.Helper()
	w := circuits.EpochWitness{Window: today}
	for j := range w.Salts {
		w.Salts[j] = secret(label+" salt", j)
	}
	for i := range s.ShardSize - 1 {
		pc, err := circuits.CommitParticipant(secret("participant", i), secret("blind", i))
		require.NoError(t, err)
		a := circuits.Attributes{
			Mask: consent.MaskOf(consent.Conditions, consent.Statistics), Status: circuits.Active,
			From: today.From - 30*day, To: today.To + 30*day,
		}
		if i%3 == 2 {
			a.Status = circuits.Withdrawn
		}
		w.Consents = append(w.Consents, circuits.Consent{Participant: pc, Attributes: a})
	}
	return w
}

// access uses every consent in force of one shard.
func access(t testing.TB, s circuits.Shape, label string) circuits.AccessWitness {
	t.Helper()
	use := circuits.ShardUse{Epoch: epoch(t, s, label), Salt: secret(label+" used", 0)}
	for i, c := range use.Epoch.Consents {
		if c.Attributes.Status == circuits.Active {
			use.Used = append(use.Used, i)
		}
	}
	return circuits.AccessWitness{
		Shards:    []circuits.ShardUse{use},
		Need:      consent.MaskOf(consent.Conditions, consent.Statistics),
		Min:       2,
		QueryHash: secret("question", 0),
	}
}
