package consensus

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/stretchr/testify/require"
)

// broken returns the configuration of a single replica whose log, and votes if
// they are to break too, fail to be written while full is set.
func broken(dir string, fsm FSM, full *atomic.Bool, votes bool) Config {
	cfg := Config{
		Dir: dir, ID: "did:key:zOne", Bootstrap: true, FSM: fsm,
		breakLog: func(log *wal.WAL) raft.LogStore { return fullDisk{log, full} },
	}
	if votes {
		cfg.breakVotes = func(log *wal.WAL) raft.StableStore { return fullDisk{log, full} }
	}
	return cfg
}

// TestFullDisk: the replica says so and ends in order, whether or not it can
// still note its terms, and goes on when it is opened again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, votes := range []bool{false, true} {
		dir := t.TempDir()
		var full atomic.Bool
		fsm := &journal{}
		r := open(t, broken(dir, fsm, &full, votes))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := r.WaitLeader(ctx)
		require.NoError(t, err)
		propose(t, r, "before")
		require.NoError(t, r.Err())

		full.Store(true)
		_, err = r.Propose(ctx, []byte("lost"))
		require.ErrorIs(t, err, ErrUncertain)
		require.ErrorIs(t, err, syscall.ENOSPC, "whoever asked is told why")
		<-r.Failed()
		require.ErrorIs(t, r.Err(), syscall.ENOSPC)
		require.ErrorContains(t, r.Err(), dir)
		full.Store(false)
		_, err = r.Propose(ctx, []byte("refused"))
		require.ErrorIs(t, err, syscall.ENOSPC, "nothing follows a gap")
		require.ErrorIs(t, r.Run(ctx), syscall.ENOSPC, "it ends by itself")
		require.Equal(t, []string{"before"}, fsm.all())

		again := &journal{}
		r = single(t, dir, again)
		propose(t, r, "after")
		require.Equal(t, []string{"before", "after"}, again.all())
		require.NoError(t, r.Close())
	}
}

// TestFullDiskAtTheElection: raft cannot even note the term it wants to lead in.
func TestFullDiskAtTheElection(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var full atomic.Bool
	full.Store(true)
	r := open(t, broken(dir, &journal{}, &full, true))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := r.WaitLeader(ctx)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorIs(t, r.Run(ctx), syscall.ENOSPC)
	propose(t, single(t, dir, &journal{}), "after")
}

// stuck is a journal that cannot store the command "stuck" at first.
type stuck struct {
	journal
	broken atomic.Bool
}

var errStuck = errors.New("no room for the command")

func (s *stuck) Apply(index uint64, command []byte) (any, error) {
	if s.broken.Load() && string(command) == "stuck" {
		return nil, errStuck
	}
	return s.journal.Apply(index, command)
}

// TestCommandThatCannotBeApplied ends the replica. Neither a later command nor
// a snapshot may pass over it, and it comes again after a restart.
func TestCommandThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fsm := &stuck{}
	fsm.broken.Store(true)
	r := single(t, dir, fsm)
	propose(t, r, "before")
	_, err := r.Propose(t.Context(), []byte("stuck"))
	require.ErrorIs(t, err, ErrUncertain)
	require.ErrorIs(t, err, errStuck)
	<-r.Failed()
	_, err = r.Propose(t.Context(), []byte("behind"))
	require.ErrorIs(t, err, errStuck)
	require.ErrorIs(t, r.Snapshot(t.Context()), errStuck)
	require.Error(t, r.Barrier(t.Context()))
	require.ErrorIs(t, r.Run(t.Context()), errStuck)
	require.Equal(t, []string{"before"}, fsm.all())

	again := &stuck{}
	again.broken.Store(true)
	r = open(t, Config{Dir: dir, ID: "did:key:zOne", Bootstrap: true, FSM: again})
	_, err = r.WaitLeader(t.Context())
	require.ErrorIs(t, err, errStuck, "nobody may serve what is not there")
	require.NoError(t, r.Close())

	mended := &stuck{}
	r = single(t, dir, mended)
	require.Equal(t, []string{"before", "stuck"}, mended.all())
	require.NoError(t, r.Close())
}

// TestFailedReplicaIsNotHeard: a vote that is not on its disk must not count.
func TestFailedReplicaIsNotHeard(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer there.Close()
	f := newFailure()
	l := &link{Conn: here, failure: f, closed: make(chan struct{})}
	go func() { _, _ = there.Read(make([]byte, 1)) }()
	_, err := l.Write([]byte{1})
	require.NoError(t, err)
	require.NoError(t, disk{StableStore: fullDisk{full: yes()}, failure: f}.SetUint64(nil, 1))
	_, err = l.Write([]byte{1})
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, l.Close())
}

func yes() *atomic.Bool {
	var b atomic.Bool
	b.Store(true)
	return &b
}
