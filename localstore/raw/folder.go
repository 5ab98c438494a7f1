package raw

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// folder keeps files on a disk. The file of a digest lies at its place, and its name, see
// [Path], is a symbolic link to it. A file that lies under its name itself is one of an
// older program or of a backup; nothing else distinguishes it.
type folder struct {
	dir  string
	disk *disk

	mu   sync.Mutex
	made map[string]bool // folders that this process knows to be durable
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f *folder) keep(_ context.Context, from, place string, d Digest, _ bool) error {
	file, name := f.path(place), f.path(Path(d))
	if err := f.install(from, file); err != nil {
		return err
	}
	// The link comes after the file is durable: it may replace one to a good file, that
	// another process has put meanwhile.
	if err := f.make(filepath.Dir(name)); err != nil {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(name), file) // so that the folder can be moved
	if err != nil {
		return err
	}
	if err := f.disk.link(target, filepath.Join(f.dir, unfinishedFolder), name); err != nil {
		return err
	}
	if err := f.disk.syncDir(filepath.Dir(name)); err != nil {
		return err
	}
	return nil
}

// install renames a finished file durably.
func (f *folder) install(from, to string) error {
	if err := f.make(filepath.Dir(to)); err != nil {
		return err
	}
	if err := f.disk.rename(from, to); err != nil {
		return err
	}
	return f.disk.syncDir(filepath.Dir(to))
}

// make makes a folder below f.dir, and those it lies in, durable.
func (f *folder) make(dir string) error {
	if err := f.disk.mkdir(dir); err != nil {
		return err
	}
	for ; dir != f.dir && !f.known(dir); dir = filepath.Dir(dir) {
		if err := f.disk.syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
		f.mu.Lock()
		f.made[dir] = true
		f.mu.Unlock()
	}
	return nil
}

func (f *folder) known(dir string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.made[dir]
}

func (f *folder) reencrypted(_ context.Context, from string, d Digest) error {
	file, err := filepath.EvalSymlinks(f.path(Path(d)))
	if err != nil {
		return err
	}
	return f.install(from, file)
}

func (f *folder) confirm(_ context.Context, d Digest) error {
	name := f.path(Path(d))
	file, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	if file, err = filepath.Rel(real(f.dir), file); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(f.path(file)), filepath.Dir(name)} {
		if err := f.make(dir); err != nil {
			return err
		}
		if err := f.disk.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) open(_ context.Context, d Digest) (io.ReadCloser, int64, error) {
	return openFile(f.path(Path(d)))
}

func (f *folder) get(_ context.Context, name string) (io.ReadCloser, int64, error) {
	return openFile(f.path(name))
}

func openFile(path string) (io.ReadCloser, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

func (f *folder) digests(context.Context) iter.Seq2[Digest, error] {
	return func(yield func(Digest, error) bool) {
		folders, err := os.ReadDir(f.dir)
		if err != nil {
			yield(Digest{}, err)
			return
		}
		for _, folder := range folders {
			if len(folder.Name()) != 2 || !folder.IsDir() {
				continue // not a folder of names, see Path
			}
			names, err := os.ReadDir(filepath.Join(f.dir, folder.Name()))
			if err != nil {
				yield(Digest{}, err)
				return
			}
			for _, name := range names {
				d, err := ParseDigest(folder.Name() + name.Name())
				if err == nil && !yield(d, nil) {
					return
				}
			}
		}
	}
}

func (f *folder) put(_ context.Context, from, name string, replace bool) error {
	to := f.path(name)
	if replace {
		return f.install(from, to)
	}
	if err := f.make(filepath.Dir(to)); err != nil {
		return err
	}
	if err := os.Link(from, to); err != nil {
		return err
	}
	return f.disk.syncDir(filepath.Dir(to))
}

func (f *folder) folders(_ context.Context, folder string) ([]string, error) {
	entries, err := os.ReadDir(f.path(folder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (f *folder) list(_ context.Context, folder string) ([]string, error) {
	root := f.path(folder)
	var names []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			// Whoever gave a name in it may have died before that was durable.
			return f.disk.syncDir(path)
		}
		name, err := filepath.Rel(root, path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	slices.Sort(names)
	return names, err
}

func (f *folder) remove(_ context.Context, folder string) error { return os.RemoveAll(f.path(folder)) }

// sweep removes files that no name leads to.
func (f *folder) sweep(ctx context.Context, until time.Time) (int64, error) {
	var old []string
	err := filepath.WalkDir(f.path(filesFolder), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // there is none yet, or another process was faster
		}
		if err != nil || e.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		info, err := e.Info()
		if err == nil && info.ModTime().Before(until) {
			old = append(old, path)
		}
		return nil
	})
	if err != nil || len(old) == 0 {
		return 0, err
	}
	named := make(map[string]bool, len(old))
	for d, err := range f.digests(ctx) {
		if err != nil {
			return 0, err
		}
		name := f.path(Path(d))
		switch target, err := os.Readlink(name); {
		case err == nil:
			named[filepath.Join(filepath.Dir(name), target)] = true
		case !errors.Is(err, syscall.EINVAL) && !errors.Is(err, fs.ErrNotExist):
			return 0, err
		}
	}
	var n int64
	for _, path := range old {
		if named[path] {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
		n++
	}
	return n, nil
}

// real is a path without symbolic links, or the path itself.
func real(path string) string {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		return p
	}
	return path
}
