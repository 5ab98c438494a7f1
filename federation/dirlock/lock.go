// Package dirlock keeps two processes from using one directory: two that wrote one
// replica's log, or were one node, would undo each other's work.
package dirlock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Timeout is how long a lock waits for a predecessor that is still shutting down.
const Timeout = 5 * time.Second

const (
	lockFile = "lock"
	retry    = 50 * time.Millisecond
)

// Lock is a directory that is this process's. The kernel gives it free when the
// process ends, however it ends.
type Lock struct{ file *os.File }

// Acquire locks a directory that exists. It fails after Timeout if another process
// holds it, and earlier if ctx ends.
func Acquire(ctx context.Context, dir string) (*Lock, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return &Lock{file}, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock directory: %w", err), file.Close())
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("another process holds the directory %s", dir)
		case <-time.After(retry):
		}
	}
}

// Release gives the directory free.
func (l *Lock) Release() error { return l.file.Close() }
