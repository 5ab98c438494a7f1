package consensus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// dirLock keeps two processes from writing one replica's log. The kernel
// releases it when the process ends, however it ends.
type dirLock struct{ file *os.File }

// lockDir waits a few seconds for a predecessor that is still shutting down.
func lockDir(ctx context.Context, dir string) (*dirLock, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
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
			return nil, errors.New("another process holds the directory")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l *dirLock) release() error { return l.file.Close() }
