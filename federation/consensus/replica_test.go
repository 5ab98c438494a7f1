package consensus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirEnv); dir != "" {
		os.Exit(crashChild(dir))
	}
	goleak.VerifyTestMain(m)
}

const patience = time.Minute // for conditions that normally hold within five

var errOdd = problem.New(problem.Invalid, "the command is refused")

// journal is an FSM that remembers every command in order. It refuses "refuse".
type journal struct {
	mu       sync.Mutex
	lines    []string
	restored int // how often Restore ran
	last     uint64
}

func (j *journal) Apply(index uint64, command []byte) (any, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if index <= j.last {
		panic("indexes must grow")
	}
	j.last = index
	if string(command) == "refuse" {
		return nil, errOdd
	}
	j.lines = append(j.lines, string(command))
	return len(j.lines), nil
}

func (j *journal) Snapshot() (io.ReadCloser, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	state, err := json.Marshal(j.lines)
	return io.NopCloser(bytes.NewReader(state)), err
}

func (j *journal) Restore(snapshot io.Reader) error {
	var lines []string
	if err := json.NewDecoder(snapshot).Decode(&lines); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines, j.restored = lines, j.restored+1
	return nil
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string{}, j.lines...)
}

func logger() *slog.Logger {
	if os.Getenv("TRIALMESH_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func open(t *testing.T, cfg Config) *Replica {
	t.Helper()
	cfg.Log = logger()
	r, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// single opens the only replica of a group and waits until it leads.
func single(t *testing.T, dir string, fsm FSM) *Replica {
	t.Helper()
	r := open(t, Config{Dir: dir, ID: "did:key:zOne", Bootstrap: true, FSM: fsm})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	leader, err := r.WaitLeader(ctx)
	require.NoError(t, err)
	require.Equal(t, identity.DID("did:key:zOne"), leader)
	require.True(t, r.IsLeader())
	return r
}

func propose(t *testing.T, r *Replica, commands ...string) {
	t.Helper()
	for _, c := range commands {
		_, err := r.Propose(t.Context(), []byte(c))
		require.NoError(t, err)
	}
}

func numbered(from, to int) []string {
	var lines []string
	for i := from; i < to; i++ {
		lines = append(lines, fmt.Sprintf("command %d", i))
	}
	return lines
}

func TestOpenRefusesNonsense(t *testing.T) {
	t.Parallel()
	good := Config{Dir: t.TempDir(), ID: "a", FSM: &journal{}}
	for name, change := range map[string]func(*Config){
		"no directory":       func(c *Config) { c.Dir = "" },
		"no ID":              func(c *Config) { c.ID = "" },
		"no FSM":             func(c *Config) { c.FSM = nil },
		"not a replica":      func(c *Config) { c.Replicas = []identity.DID{"b"} },
		"no network":         func(c *Config) { c.Replicas = []identity.DID{"a", "b"} },
		"threshold too high": func(c *Config) { c.SnapshotThreshold = maxSnapshotThreshold + 1 },
	} {
		cfg := good
		change(&cfg)
		_, err := Open(t.Context(), cfg)
		require.Error(t, err, name)
	}
}

func TestProposeReturnsWhatApplyReturned(t *testing.T) {
	t.Parallel()
	r := single(t, t.TempDir(), &journal{})
	n, err := r.Propose(t.Context(), []byte("a"))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = r.Propose(t.Context(), []byte("refuse"))
	require.ErrorIs(t, err, errOdd)
	require.NotErrorIs(t, err, ErrUncertain)
	n, err = r.Propose(t.Context(), []byte("b"))
	require.NoError(t, err)
	require.Equal(t, 2, n)

	_, err = r.Propose(t.Context(), make([]byte, MaxCommandBytes+1))
	require.Error(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Propose(ended, []byte("c"))
	require.ErrorIs(t, err, context.Canceled)

	status := r.Status()
	require.True(t, status.Leads)
	require.Equal(t, identity.DID("did:key:zOne"), status.Leader)
	require.Equal(t, status.Last, status.Applied)
}

func TestRestartReplays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := single(t, dir, &journal{})
	propose(t, r, "a", "b")
	require.NoError(t, r.Close())
	_, err := r.Propose(t.Context(), []byte("late"))
	require.ErrorIs(t, err, ErrUncertain)

	again := &journal{}
	r = single(t, dir, again)
	require.Equal(t, []string{"a", "b"}, again.all(), "all of it, once WaitLeader returns")
	require.Zero(t, again.restored)
	propose(t, r, "c")
	require.Equal(t, []string{"a", "b", "c"}, again.all())
}

func TestSnapshotReplacesTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := single(t, dir, &journal{})
	propose(t, r, numbered(0, 50)...)
	require.NoError(t, r.Snapshot(t.Context()))
	require.NoError(t, r.Snapshot(t.Context()), "nothing new is no error")
	propose(t, r, numbered(50, 60)...)
	require.NoError(t, r.Close())

	again := &journal{}
	single(t, dir, again)
	require.Equal(t, numbered(0, 60), again.all())
	require.Equal(t, 1, again.restored)
}

func TestOpenRefusesADamagedSnapshot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := single(t, dir, &journal{})
	propose(t, r, numbered(0, 5)...)
	require.NoError(t, r.Snapshot(t.Context()))
	require.NoError(t, r.Close())
	entries, err := os.ReadDir(dir + "/snapshots")
	require.NoError(t, err)
	require.Len(t, entries, 1)
	state := dir + "/snapshots/" + entries[0].Name() + "/state.bin"
	data, err := os.ReadFile(state)
	require.NoError(t, err)
	data[len(data)/2] ^= 1
	require.NoError(t, os.WriteFile(state, data, 0o600))

	_, err = Open(t.Context(), Config{Dir: dir, ID: "did:key:zOne", FSM: &journal{}})
	require.Error(t, err, "a flipped bit must not become state")
}

func TestOneProcessHoldsTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	single(t, dir, &journal{})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := Open(ctx, Config{Dir: dir, ID: "did:key:zOne", FSM: &journal{}})
	require.ErrorContains(t, err, "another process holds the directory")
}

// A replica that closes answers what it took: raft leaves commands that wait in
// its channels when it shuts down without an answer, for ever.
func TestCloseAnswersCommandsUnderWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acknowledged := 0
	for range 20 {
		fsm := &journal{}
		r := single(t, dir, fsm)
		require.GreaterOrEqual(t, len(fsm.all()), acknowledged)
		var proposers sync.WaitGroup
		var ok atomic.Int64
		for range 32 {
			proposers.Go(func() {
				for {
					if _, err := r.Propose(context.Background(), []byte("command")); err != nil {
						return
					}
					ok.Add(1)
				}
			})
		}
		require.Eventually(t, func() bool { return ok.Load() > 0 }, patience, time.Millisecond)
		require.NoError(t, r.Close())
		proposers.Wait()
		acknowledged += int(ok.Load())
	}
}

func TestRunClosesWithItsContext(t *testing.T) {
	t.Parallel()
	r := single(t, t.TempDir(), &journal{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	cancel()
	require.NoError(t, <-done)
	_, err := r.Propose(t.Context(), []byte("late"))
	require.ErrorIs(t, err, ErrUncertain)
	_, err = r.WaitLeader(t.Context())
	require.Error(t, err)
}

// A copy of the directory taken while commands are being written stands for
// what a crash leaves behind.
func TestCopyOfALiveDirectoryHoldsWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := single(t, dir, &journal{})
	propose(t, r, numbered(0, 100)...)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 100; ; i++ {
			select {
			case <-stop:
				return
			default:
				_, _ = r.Propose(t.Context(), fmt.Appendf(nil, "command %d", i))
			}
		}
	}()
	crashed := t.TempDir()
	err := os.CopyFS(crashed, os.DirFS(dir))
	close(stop)
	<-stopped
	require.NoError(t, err)

	again := &journal{}
	single(t, crashed, again)
	lines := again.all()
	require.GreaterOrEqual(t, len(lines), 100)
	require.Equal(t, numbered(0, len(lines)), lines, "no gap, no repetition")
}

func BenchmarkPropose(b *testing.B) {
	r, err := Open(b.Context(), Config{Dir: b.TempDir(), ID: "a", Bootstrap: true, FSM: &journal{}})
	require.NoError(b, err)
	defer func() { require.NoError(b, r.Close()) }()
	_, err = r.WaitLeader(b.Context())
	require.NoError(b, err)
	command := make([]byte, 500)
	b.Run("one at a time", func(b *testing.B) {
		for b.Loop() {
			_, _ = r.Propose(b.Context(), command)
		}
	})
	b.Run("64 at a time", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = r.Propose(b.Context(), command)
			}
		})
	})
}
