package consensus

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/stretchr/testify/require"
)

// crashDirEnv makes the test binary a replica that proposes until it is killed.
const crashDirEnv = "TRIALMESH_CONSENSUS_CRASH_DIR"

// crashChild proposes numbered commands in dir and prints the number of each
// one acknowledged. A snapshot now and then widens what the crash can hit.
func crashChild(dir string) int {
	fsm := &journal{}
	r, err := Open(context.Background(), Config{Dir: dir, ID: "did:key:zOne", Bootstrap: true, FSM: fsm})
	if err == nil {
		_, err = r.WaitLeader(context.Background())
	}
	for i := len(fsm.all()); err == nil; i++ {
		if _, err = r.Propose(context.Background(), fmt.Appendf(nil, "command %d", i)); err == nil {
			fmt.Println(i)
		}
		if err == nil && i%40 == 39 {
			err = r.Snapshot(context.Background())
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acknowledged := -1
	for round := range 4 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), crashDirEnv+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			i, err := strconv.Atoi(lines.Text())
			require.NoError(t, err)
			require.Equal(t, acknowledged+1, i, "the next life starts where the last one was acknowledged, or one later")
			acknowledged = i
			if n == 60+17*round {
				require.NoError(t, child.Process.Kill())
				break
			}
		}
		// What was printed before the signal took hold was acknowledged too.
		for lines.Scan() {
			acknowledged, err = strconv.Atoi(lines.Text())
			require.NoError(t, err)
		}
		require.Error(t, child.Wait(), "killed")
		fsm := &journal{}
		r := single(t, dir, fsm)
		got := fsm.all()
		require.GreaterOrEqual(t, len(got), acknowledged+1, "round %d", round)
		require.LessOrEqual(t, len(got), acknowledged+2, "at most the command under way is extra")
		require.Equal(t, numbered(0, len(got)), got)
		require.NoError(t, r.Close())
		acknowledged = len(got) - 1
	}
}

// fullDisk is a disk whose writes fail while full is set.
type fullDisk struct {
	*wal.WAL
	full *atomic.Bool
}

func (d fullDisk) StoreLogs(logs []*raft.Log) error {
	if d.full.Load() {
		return syscall.ENOSPC
	}
	return d.WAL.StoreLogs(logs)
}

func (d fullDisk) SetUint64(key []byte, value uint64) error {
	if d.full.Load() {
		return syscall.ENOSPC
	}
	return d.WAL.SetUint64(key, value)
}
