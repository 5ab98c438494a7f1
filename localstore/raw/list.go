package raw

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
)

// Path is where the file of the content with digest d lies in the folder of a store.
func Path(d Digest) string {
	name := d.String()
	return filepath.Join(name[:2], name[2:])
}

// Digests yields the digests of all files of the store in ascending order. Files that
// are put meanwhile may be among them or not. An error is the last thing that is yielded.
func (s *Store) Digests() iter.Seq2[Digest, error] {
	return func(yield func(Digest, error) bool) {
		folders, err := os.ReadDir(s.dir)
		if err != nil {
			yield(Digest{}, fmt.Errorf("raw: list: %w", err))
			return
		}
		for _, folder := range folders {
			if len(folder.Name()) != 2 || !folder.IsDir() {
				continue // not a folder of files, see path
			}
			files, err := os.ReadDir(filepath.Join(s.dir, folder.Name()))
			if err != nil {
				yield(Digest{}, fmt.Errorf("raw: list: %w", err))
				return
			}
			for _, file := range files {
				d, err := ParseDigest(folder.Name() + file.Name())
				if err == nil && !yield(d, nil) {
					return
				}
			}
		}
	}
}

// Encrypted opens the file of the content with digest d as it lies on the disk, for
// backups, and returns its size; or [ErrNotFound]. The caller closes it.
func (s *Store) Encrypted(d Digest) (io.ReadCloser, int64, error) {
	f, err := os.Open(s.path(d))
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, fmt.Errorf("raw: open %s: %w", d, ErrNotFound)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("raw: open %s: %w", d, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("raw: open %s: %w", d, err), f.Close())
	}
	return f, info.Size(), nil
}
