//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// The programs of the fault tests are processes of this binary, see TestMain:
// kill -9 takes everything from them that a real crash would.

// faultWait bounds every wait of a fault test.
const faultWait = 2 * time.Minute

// faultShape makes proofs in a fraction of a second: 16 participants a node.
const faultShape = "16x1x2"

// command returns a call of trialmesh with the settings all programs share.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "trialmesh", args...)
	cmd.Env = append(os.Environ(), "TRIALMESH_HUB_CIRCUITS_SHAPE="+faultShape, "TRIALMESH_NODE_CIRCUITS_SHAPE="+faultShape)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // none outlives a test that panics
	return cmd
}

// called is what a command that ended said.
type called struct {
	stdout, stderr string
	status         int
}

// call runs a command to its end.
func call(t testing.TB, args ...string) called {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), faultWait)
	defer cancel()
	cmd := command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return called{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// must runs a command that has to succeed and returns its trimmed output.
func must(t testing.TB, args ...string) string {
	t.Helper()
	c := call(t, args...)
	require.Zero(t, c.status, "trialmesh %s\n%s%s", strings.Join(args, " "), c.stdout, c.stderr)
	return strings.TrimSpace(c.stdout)
}

// program is a hub or a node that runs in a directory, and stops and starts.
type program struct {
	dir  string
	args []string // from the subcommand on

	log string // file that gets what it says

	current atomic.Pointer[process] // the one started last, nil before the first
}

// process is one life of a program.
type process struct {
	*exec.Cmd
	ended chan struct{} // closed when it is gone; its ProcessState is read only then
}

// start starts the process and waits until it says where it is reached.
func (p *program) start(t testing.TB) {
	t.Helper()
	require.NoError(t, p.launch())
	p.await(t)
}

// launch starts the process.
func (p *program) launch() error {
	// What a killed process left would be taken for the new one's.
	if err := os.Remove(filepath.Join(p.dir, runFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	run := &process{command(context.Background(), p.args...), make(chan struct{})}
	run.Stdout, run.Stderr = out, out
	if err := run.Start(); err != nil {
		return err
	}
	go func() {
		_ = run.Wait() // how it ended is in ProcessState
		close(run.ended)
	}()
	p.current.Store(run)
	return nil
}

// await waits until a launched process says where it is reached.
func (p *program) await(t testing.TB) {
	t.Helper()
	eventually(t, p.log+": the program does not come up", func() bool {
		require.True(t, p.running(), "ended at once:\n%s", p.said())
		_, err := readPlace(p.dir)
		return err == nil
	})
}

// running reports whether the process is there.
func (p *program) running() bool { return p.current.Load().running() }

func (run *process) running() bool {
	if run == nil {
		return false
	}
	select {
	case <-run.ended:
		return false
	default:
		return true
	}
}

// kill is kill -9 of the process started last, also while another goroutine
// starts the next. Nothing is flushed, no connection is closed in good order.
func (p *program) kill() {
	if run := p.current.Load(); run.running() {
		_ = run.Process.Kill() // may have ended in between
		<-run.ended
	}
}

// end kills the process for good, and reports what the race detector found in
// any that ran before.
func (p *program) end(t testing.TB) {
	t.Helper()
	p.kill()
	raw, err := os.ReadFile(p.log)
	require.NoError(t, err)
	_, race, found := strings.Cut(string(raw), "WARNING: DATA RACE")
	require.False(t, found, "data race in %s:\n%s", p.log, race[:min(len(race), 4000)])
}

// stop is Ctrl-C, and the program has to end well.
func (p *program) stop(t testing.TB) {
	t.Helper()
	run := p.current.Load()
	require.NoError(t, run.Process.Signal(os.Interrupt))
	select {
	case <-run.ended:
	case <-time.After(faultWait):
		require.Fail(t, "the program does not stop", p.said())
	}
	require.Zero(t, run.ProcessState.ExitCode(), p.said())
}

// said returns the end of what the program wrote.
func (p *program) said() string {
	raw, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-4000):])
}

// peak returns the most memory the process has had, as the kernel says it.
func (p *program) peak() string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.current.Load().Process.Pid))
	if err != nil {
		return err.Error()
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(faultWait); !condition(); time.Sleep(5 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "waited %s: %s", faultWait, what)
	}
}

// freePort returns a TCP port that was free a moment ago: a hub that comes back
// has to be where its nodes look for it.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// smallDisk makes dir a file system of its own, so that it can be full.
func smallDisk(t testing.TB, dir, size string) error {
	t.Helper()
	if os.Geteuid() != 0 {
		return errors.New("mounting a small file system needs root")
	}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		return fmt.Errorf("no small file system to be had: %w", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return nil
}

// ballast fills the disk under dir but for some bytes and returns what makes room again.
func ballast(t testing.TB, dir string, leave int64) (remove func()) {
	t.Helper()
	f, err := os.CreateTemp(dir, "ballast-")
	require.NoError(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	size, err := f.Seek(0, io.SeekEnd)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(max(0, size-leave)))
	return func() { require.NoError(t, os.Remove(f.Name())) }
}

// switchable is a TCP relay that can be cut, with everything that runs through it.
type switchable struct {
	address, target string

	mu       sync.Mutex
	listener net.Listener // nil while cut
	conns    []net.Conn
	loops    sync.WaitGroup
}

func newSwitchable(t testing.TB, target string) *switchable {
	t.Helper()
	s := &switchable{address: "127.0.0.1:0", target: target}
	s.connect(t)
	t.Cleanup(s.cut)
	return s
}

// connect lets connections through, at the same address as before.
func (s *switchable) connect(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", s.address)
	require.NoError(t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener, s.address = l, l.Addr().String()
	s.loops.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.loops.Go(func() { s.relay(conn) })
		}
	})
}

func (s *switchable) relay(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", s.target)
	if err != nil {
		return
	}
	defer to.Close()
	s.mu.Lock()
	connected := s.listener != nil
	if connected {
		s.conns = append(s.conns, from, to)
	}
	s.mu.Unlock()
	if !connected {
		return
	}
	s.loops.Go(func() {
		_, _ = io.Copy(to, from) // ends with either side
		_ = to.Close()
	})
	_, _ = io.Copy(from, to)
}

// cut refuses connections and ends those there are.
func (s *switchable) cut() {
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
	}
	for _, conn := range s.conns {
		_ = conn.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.loops.Wait()
}

// person is somebody with a key, who signs.
type person struct {
	key  identity.Key
	file string // the key's
}

func newPerson(t testing.TB, dir, name string) person {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	p := person{key, filepath.Join(dir, name+".key")}
	require.NoError(t, os.WriteFile(p.file, key.PEM(), 0o600))
	return p
}

// fromJSON reads one JSON value.
func fromJSON[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}
