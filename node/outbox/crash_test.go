package outbox

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// Variables that turn this test binary into a node that sends.
const (
	childDSN = "OUTBOX_TEST_DSN"
	childDir = "OUTBOX_TEST_DIR"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childDSN); dsn != "" {
		if err := sendAll(dsn, os.Getenv(childDir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// sendAll sends until it is killed or its standard input ends.
func sendAll(dsn, dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: dsn})
	if err != nil {
		return err
	}
	cfg, err := config(db, dir)
	if err != nil {
		return err
	}
	if _, err := Open(ctx, cfg); err != nil {
		return err
	}
	return cfg.Jobs.Run(ctx)
}

// child starts a node that sends and returns what kills it.
func child(t *testing.T, dsn, dir string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDSN+"="+dsn, childDir+"="+dir)
	cmd.Stderr = os.Stderr
	_, err := cmd.StdinPipe() // ends with this process
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return func() { _ = cmd.Process.Kill() }
}

// TestKilledWhenTheEHRHasIt: the process dies between the server's commit and its own, again
// and again, and the message is there once.
func TestKilledWhenTheEHRHasIt(t *testing.T) {
	t.Parallel()
	const kills = 3
	for name, plain := range map[string]bool{"conditional create": false, "search": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := "sqlite:" + filepath.Join(t.TempDir(), "node.db")
			e := newEHR(t)
			e.plain = plain
			s := newSite(t, sqltest.Open(t, dsn), e)
			o, run := s.open()
			m := s.send(o, task)[0]
			var known sync.Mutex
			var kill func() // guarded by known
			died := make(chan struct{})
			deadly := func(_ http.ResponseWriter, serve func() *httptest.ResponseRecorder) {
				serve()
				known.Lock()
				kill()
				known.Unlock()
				died <- struct{}{}
				panic(http.ErrAbortHandler)
			}
			n := kills
			if plain {
				n = 1 // from then on the search finds it, and nothing is sent
			}
			for range n {
				e.breaks(deadly)
				known.Lock() // the child may be faster than its start returns
				kill = child(t, dsn, s.dir)
				known.Unlock()
				<-died
			}
			run()
			m = s.until(o, m.ID, Delivered)
			require.Equal(t, n+1, m.Attempts)
			require.Len(t, e.holds("Task"), 1, "it is there once")
		})
	}
}
