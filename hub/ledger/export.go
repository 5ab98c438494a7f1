package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/trialmesh/trialmesh/federation/cosign"
)

// ErrRewritten reports that a file which must never change differs from the copy
// already exported: the source or the copy was altered. Keep both.
var ErrRewritten = errors.New("file of the log differs from the exported copy")

// Export writes the files of the log's present checkpoint into dir, which any web
// server can then serve as the log. The checkpoint is written last, so that a
// reader of dir never misses a file, and every file is durable when Export
// returns. Exporting again adds what is new; files of earlier checkpoints stay.
// Signatures and hashes are not checked: that is [Verify].
//
// It fails with [ErrRewritten] if dir holds another version of a file, or a
// checkpoint of a larger log.
func Export(ctx context.Context, src Source, dir string) (cosign.Checkpoint, error) {
	signed, err := src.Read(ctx, checkpointPath)
	if err != nil {
		return cosign.Checkpoint{}, fmt.Errorf("export log: %w", err)
	}
	c, err := cosign.Claim(signed)
	if err != nil {
		return cosign.Checkpoint{}, fmt.Errorf("export log: %w", err)
	}
	if old, err := os.ReadFile(filepath.Join(dir, checkpointPath)); err == nil {
		before, err := cosign.Claim(old)
		if err != nil || before.Size > c.Size {
			return cosign.Checkpoint{}, fmt.Errorf("export log: %s: %w", checkpointPath, ErrRewritten)
		}
	}
	w := writer{root: dir, dirs: make(map[string]bool)}
	for t := range filesOf(c.Size) {
		path := tilePath(t)
		data, err := src.Read(ctx, path)
		if err == nil {
			err = w.add(path, data)
		}
		if err != nil {
			return cosign.Checkpoint{}, fmt.Errorf("export log: %w", err)
		}
	}
	err = w.sync() // before a checkpoint says that the files are there
	if err == nil {
		err = w.replace(checkpointPath, signed)
	}
	if err = errors.Join(err, w.sync()); err != nil {
		return cosign.Checkpoint{}, fmt.Errorf("export log: %w", err)
	}
	return c, nil
}

// writer writes files below root. They are durable after sync.
type writer struct {
	root string
	dirs map[string]bool // directories with new names since the last sync
}

// add writes a file that must not change if it is there already.
func (w writer) add(path string, data []byte) error {
	old, err := os.ReadFile(filepath.Join(w.root, filepath.FromSlash(path)))
	switch {
	case err == nil && bytes.Equal(old, data):
		return nil
	case err == nil:
		return fmt.Errorf("%s: %w", path, ErrRewritten)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return w.replace(path, data)
}

// replace writes a file so that after a crash it is there whole or not at all.
func (w writer) replace(path string, data []byte) error {
	full := filepath.Join(w.root, filepath.FromSlash(path))
	dir := filepath.Dir(full)
	if err := w.makeDir(dir); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once renamed, as it should
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	w.dirs[dir] = true
	return os.Rename(tmp.Name(), full)
}

// makeDir makes dir and its parents.
func (w writer) makeDir(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		if err := w.makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o755)
	}
	if err == nil {
		w.dirs[filepath.Dir(dir)] = true
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // a file of that name fails at the next step
	}
	return err
}

// sync makes all new names durable.
func (w writer) sync() error {
	for dir := range w.dirs {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
		delete(w.dirs, dir)
	}
	return nil
}
