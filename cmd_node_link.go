package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/cdmdb"
	"github.com/trialmesh/trialmesh/node/client"
)

// link reaches the running node of a directory, also when the node stops meanwhile
// and starts again at another address.
type link struct {
	tables map[string]cdmdb.Table // of a database, which are sent in place of files of these names

	cmd *cobra.Command

	// passes reports whether an error may pass, so that it is tried again.
	passes func(error) bool

	// patience is how long it is tried again without a step forward, 0 for ever.
	patience time.Duration

	// waits is told once why it is tried again.
	waits func(error)

	// eager is whether it is tried again: from the beginning, or once a step forward
	// was made.
	eager bool

	c      *client.Client // nil while there is none
	moved  time.Time      // of the last step forward
	waited bool           // and said so
}

// returnTime is how long a node may take to start again before a command gives up.
const returnTime = 2 * time.Minute

// moves notes a step forward.
func (l *link) moves() { l.moved, l.eager = time.Now(), true }

// do does something with the node, and again as long as what is in the way may pass.
func (l *link) do(ctx context.Context, act func(*client.Client) error) error {
	l.moved = time.Now()
	for pause := time.Second / 10; ; pause = min(2*pause, 5*time.Second) {
		err := l.try(act)
		if err == nil {
			l.moves()
			l.waited = false
			return nil
		}
		if ctx.Err() != nil || !l.eager || !l.passes(err) || l.patience > 0 && time.Since(l.moved) > l.patience {
			return err
		}
		if !l.waited {
			l.waits(err)
			l.waited = true
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// errNoNode is that no node says where it is reached.
var errNoNode = errors.New("the node does not run")

func (l *link) try(act func(*client.Client) error) error {
	if l.c == nil {
		c, err := localNode(l.cmd)
		if err != nil {
			return fmt.Errorf("%w: %w", errNoNode, err)
		}
		l.c = c
	}
	err := act(l.c)
	if client.Unreachable(err) {
		l.close() // it may be at another address soon
	}
	return err
}

func (l *link) close() {
	if l.c != nil {
		l.c.Close()
		l.c = nil
	}
}

// fromParts is the size in bytes from which a file is sent so that it can go on
// where it stopped: sending less again takes no time.
const fromParts = 64 << 20

// send brings a file to the node, and tells how many of its bytes are on their way. One
// that goes with whose it is goes in one request, as its bytes are not those on disk.
func (l *link) send(ctx context.Context, path string, sent func(bytes int64)) (u client.Upload, err error) {
	size, err := l.size(path)
	if err != nil {
		return u, err
	}
	_, wrapped, err := wearableOf(l.cmd)
	if err != nil {
		return u, err
	}
	var far int64
	progress := func(bytes int64) {
		if bytes > far { // the same once more is no step forward
			far = bytes
			l.moves()
		}
		sent(bytes)
	}
	err = l.do(ctx, func(c *client.Client) (err error) {
		if t, ok := l.tables[path]; ok {
			u, err = sendTable(ctx, c, t, progress)
		} else if wrapped || size < fromParts {
			u, err = l.sendWhole(ctx, c, path)
		} else {
			u, err = sendParts(ctx, c, path, progress)
		}
		return err
	})
	if err == nil {
		sent(size)
	}
	return u, err
}

// size is that of a file, or of a table in its place, in bytes.
func (l *link) size(path string) (int64, error) {
	if t, ok := l.tables[path]; ok {
		return t.Size(), nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// sendWhole sends a file in one request.
func (l *link) sendWhole(ctx context.Context, c *client.Client, path string) (client.Upload, error) {
	f, err := openUpload(l.cmd, path)
	if err != nil {
		return client.Upload{}, err
	}
	defer f.Close()
	return c.Upload(ctx, filepath.Base(path), f)
}

// sendParts goes on with a file, or begins it.
func sendParts(ctx context.Context, c *client.Client, path string, sent func(bytes int64)) (client.Upload, error) {
	f, err := os.Open(path)
	if err != nil {
		return client.Upload{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return client.Upload{}, err
	}
	key, err := fileKey(path, info)
	if err != nil {
		return client.Upload{}, err
	}
	return c.UploadParts(ctx, client.Sending{Name: filepath.Base(path), Size: info.Size(), Data: f, Key: key, Sent: sent})
}

// fileKey names a file as it is now.
func fileKey(path string, info os.FileInfo) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d", path, info.Size(), info.ModTime().UnixNano()))
	return hex.EncodeToString(sum[:]), nil
}

// watch waits for the end of a load, and shows every state it sees.
func (l *link) watch(ctx context.Context, id string, show func(client.Job)) (job client.Job, err error) {
	err = l.do(ctx, func(c *client.Client) (err error) {
		job, err = c.Watch(ctx, id, func(j client.Job) {
			l.moves()
			show(j)
		})
		return err
	})
	return job, err
}
