package ceremony

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// minute is the smallest circuit there is.
var minute = circuits.Shape{ShardSize: 4, Shards: 1, Slots: 1}.Access()

var (
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	beacon = []byte("a public value of the next day")
)

func now() time.Time { return noon }

func silent(string) {}

func nothing(Contribution) {}

// folder holds the ceremony of the tests; TestMain removes it.
var folder string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "trialmesh-ceremony-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	folder = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// stages are a ceremony of two parties as it was before each phase's end, and finished.
type stages struct {
	powers, circuits, finished string
	parties                    []identity.Key // and one that has no part in it
}

// held is made once: where a second phase begins costs seconds.
var held = sync.OnceValues(func() (stages, error) {
	s := stages{powers: filepath.Join(folder, "powers"), circuits: filepath.Join(folder, "circuits"), finished: filepath.Join(folder, "finished")}
	for range 3 {
		key, err := identity.Generate(rand.Reader)
		if err != nil {
			return s, err
		}
		s.parties = append(s.parties, key)
	}
	if _, err := Start(s.finished, "a test", 2, []circuits.Circuit{minute}, s.parties[2], noon); err != nil {
		return s, err
	}
	for _, before := range []string{s.powers, s.circuits} {
		var t *Transcript
		for i, key := range s.parties[:2] {
			var err error
			if t, err = Open(s.finished); err != nil { // as it came
				return s, err
			}
			if err := t.Contribute(context.Background(), key, fmt.Sprintf("party %d", i+1), now, nothing); err != nil {
				return s, err
			}
		}
		if err := os.CopyFS(before, os.DirFS(s.finished)); err != nil {
			return s, err
		}
		if err := t.Finish(context.Background(), s.parties[2], beacon, "the test", noon, silent); err != nil {
			return s, err
		}
	}
	return s, nil
})

func theStages(t *testing.T) stages {
	t.Helper()
	s, err := held()
	require.NoError(t, err)
	return s
}

// copied returns a copy of a stage's folder.
func copied(t *testing.T, stage string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(stage)))
	return dir
}

func open(t *testing.T, dir string) *Transcript {
	t.Helper()
	transcript, err := Open(dir)
	require.NoError(t, err)
	return transcript
}
