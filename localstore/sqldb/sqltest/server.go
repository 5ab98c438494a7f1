package sqltest

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
	"sync"
	"syscall"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

const (
	startWait = 60 * time.Second
	startPoll = 50 * time.Millisecond
)

// server returns the address of this process's PostgreSQL, starting it once. The
// address has a query part, so that more parameters can be added with &.
var server = sync.OnceValues(func() (string, error) {
	if dsn := os.Getenv(ServerVariable); dsn != "" {
		u, err := url.Parse(dsn)
		if err != nil {
			return "", fmt.Errorf("%s is not an address", ServerVariable)
		}
		q := u.Query()
		q.Set("application_name", "trialmesh-test")
		u.RawQuery = q.Encode()
		return u.String(), nil
	}
	return start()
})

// supervise runs PostgreSQL until its standard input ends, which it does when the
// test process ends, also when that was killed. $1 is the folder, $2 the programs.
const supervise = `
"$2/postgres" -D "$1/data" -c listen_addresses= -c unix_socket_directories="$1" \
  -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
  -c shared_buffers=64MB -c max_connections=300 </dev/null >"$1/log" 2>&1 &
pid=$!
cat >/dev/null
kill -INT $pid
wait $pid
rm -rf "$1"
`

// lifeline is the supervisor's standard input. Nothing closes it but the kernel
// when this process is gone; the variable keeps the garbage collector away. Set
// once, by server.
var lifeline io.WriteCloser

func start() (string, error) {
	bin, err := programs()
	if err != nil {
		return "", err
	}
	// The path of a Unix socket has at most about 100 bytes: not t.TempDir.
	dir, err := os.MkdirTemp("", "trialmesh-pg-")
	if err != nil {
		return "", err
	}
	attr, err := owner(dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", err
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"),
		"-U", "trialmesh", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = dir, attr
	if out, err := initdb.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	cmd := exec.Command("/bin/sh", "-c", supervise, "sh", dir, bin)
	cmd.Dir, cmd.SysProcAttr = "/", attr
	if lifeline, err = cmd.StdinPipe(); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		_ = os.RemoveAll(dir)
		return "", err
	}
	dsn := "postgres:///postgres?host=" + url.QueryEscape(dir) + "&user=trialmesh&sslmode=disable"
	if err := await(dsn); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return "", fmt.Errorf("%w: %s", err, log)
	}
	return dsn, nil
}

// await returns when the server answers.
func await(dsn string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
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

// programs returns the folder with initdb and postgres.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("initdb is neither in /usr/lib/postgresql/*/bin nor in PATH")
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
		return nil, errors.New("running as root, and there is no account postgres")
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
