package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const lockFile = "lock"

// lockTimeout is how long a node waits for a predecessor that is still shutting down.
const lockTimeout = 5 * time.Second

// dirLock keeps two processes from being one node: the hub takes the newer
// connection for the node's, and the queue of one would be run by both. The
// kernel releases it when the process ends, however it ends.
type dirLock struct{ file *os.File }

// lockDir locks the directory of a node.
func lockDir(ctx context.Context, dir string) (*dirLock, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, filePermissions)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return &dirLock{file}, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = file.Close()
			return nil, fmt.Errorf("lock directory: %w", err)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("another process holds the directory %s", dir)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l *dirLock) release() error { return l.file.Close() }
