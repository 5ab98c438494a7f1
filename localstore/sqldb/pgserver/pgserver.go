// Package pgserver starts a PostgreSQL server of its own, for tests and measurements.
//
// [Start] makes an empty cluster in a temporary folder and serves it on a Unix socket
// there, to this account alone and without a password. It keeps nothing: what is in it is
// gone when [Server.Close] is called or the process ends, however that ends. It is no
// place for data that anybody needs.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

const (
	startWait = 60 * time.Second
	startPoll = 50 * time.Millisecond
)

// ErrMissing says that PostgreSQL cannot be started on this machine, and what it lacks.
var ErrMissing = errors.New("no PostgreSQL")

// Server is a running server.
type Server struct {
	// Dir is the server's folder. It belongs to the account that the server runs as.
	Dir string

	// DSN is the server's address for sqldb. It has a query part, so that more
	// parameters can be added with &.
	DSN string

	supervisor *exec.Cmd
	lifeline   io.WriteCloser // the supervisor's standard input
}

// supervise runs PostgreSQL until its standard input ends, which it does when the
// process ends that started it, also when that was killed. $1 is the folder, $2 the
// programs, and the rest are PostgreSQL's options.
const supervise = `
dir=$1 bin=$2
shift 2
"$bin/postgres" -D "$dir/data" -c listen_addresses= -c unix_socket_directories="$dir" \
  -c fsync=off -c synchronous_commit=off -c full_page_writes=off "$@" </dev/null >"$dir/log" 2>&1 &
pid=$!
cat >/dev/null
kill -INT $pid
wait $pid
rm -rf "$dir"
`

// Start makes a server and returns when it answers. Settings are "name=value" of
// postgresql.conf. A sync is nothing to it. Programs is the folder with initdb and
// postgres; if it is empty, that of the latest version in /usr/lib/postgresql, or of PATH.
// It returns [ErrMissing] if they are not there.
func Start(ctx context.Context, programs string, settings ...string) (*Server, error) {
	bin, err := find(programs)
	if err != nil {
		return nil, err
	}
	// The path of a Unix socket has at most about 100 bytes: short names.
	dir, err := os.MkdirTemp("", "trialmesh-pg-")
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, dir, bin, settings)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func start(ctx context.Context, dir, bin string, settings []string) (*Server, error) {
	attr, err := owner(dir)
	if err != nil {
		return nil, err
	}
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), //nolint:gosec // the caller's programs
		"-U", "trialmesh", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = dir, attr
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	args := []string{"-c", supervise, "sh", dir, bin}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	s := &Server{Dir: dir, DSN: "postgres:///postgres?host=" + url.QueryEscape(dir) + "&user=trialmesh&sslmode=disable"}
	// It ends by Close: whoever kills it would leave PostgreSQL behind.
	s.supervisor = exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", args...) //nolint:gosec // the script is ours, the rest are its arguments
	s.supervisor.Dir, s.supervisor.SysProcAttr = "/", attr
	if s.lifeline, err = s.supervisor.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.supervisor.Start(); err != nil {
		return nil, err
	}
	if err := await(ctx, s.DSN); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, errors.Join(fmt.Errorf("%w: %s", err, log), s.Close())
	}
	return s, nil
}

// Close stops the server and removes its folder.
func (s *Server) Close() error {
	err := s.lifeline.Close()
	_ = s.supervisor.Wait() // its status is that of rm
	return errors.Join(err, os.RemoveAll(s.Dir))
}

// await returns when the server answers.
func await(ctx context.Context, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		db, err := sqldb.Open(ctx, sqldb.Config{DSN: dsn})
		if err == nil {
			return db.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL did not start in %s: %w", startWait, err)
		case <-tick.C:
		}
	}
}

// find returns the folder with initdb and postgres.
func find(programs string) (string, error) {
	if programs != "" {
		if _, err := os.Stat(filepath.Join(programs, "initdb")); err != nil {
			return "", fmt.Errorf("%w: %s has no initdb", ErrMissing, programs)
		}
		return programs, nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("%w: initdb is neither in /usr/lib/postgresql/*/bin nor in PATH", ErrMissing)
	}
	return filepath.Dir(path), nil
}

// owner gives dir to the account that the server will run as: PostgreSQL refuses
// to run as root, so root uses the account postgres. The group of its own keeps
// an interrupt at the terminal from the supervisor, which has to clean up.
func owner(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: running as root, and there is no account postgres", ErrMissing)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, nil
}
