package raw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"time"
)

// Path is the name of the content with digest d in the folder of a store that is on a
// disk: the file is there or is linked to.
func Path(d Digest) string {
	name := d.String()
	return filepath.Join(name[:2], name[2:])
}

// Digests yields the digests of all files of the store, each once, in an order of its
// own. Files that are put meanwhile may be among them or not. An error is the last thing
// that is yielded.
func (s *Store) Digests(ctx context.Context) iter.Seq2[Digest, error] {
	return func(yield func(Digest, error) bool) {
		for d, err := range s.files.digests(ctx) {
			if err != nil {
				err = fmt.Errorf("raw: list: %w", err)
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// Encrypted opens the file of the content with digest d as it is stored, for
// backups, and returns its size; or [ErrNotFound]. The caller closes it.
func (s *Store) Encrypted(ctx context.Context, d Digest) (io.ReadCloser, int64, error) {
	f, size, err := s.files.open(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, 0, fmt.Errorf("raw: open %s: %w", d, err)
	}
	return f, size, nil
}

// sweepAge is how old a file must be that nothing leads to before it is removed: no
// process can still be about to make it count, and none puts another one there, whose
// path would have a later day, also if clocks differ.
const sweepAge = 72 * time.Hour

// Sweep removes what processes that died long ago have left and does not count, and
// returns how many files it was. It lists the whole store: once a day is often enough.
func (s *Store) Sweep(ctx context.Context) (int64, error) {
	n, err := s.files.sweep(ctx, s.now().Add(-sweepAge))
	if err != nil {
		return n, fmt.Errorf("raw: sweep: %w", err)
	}
	return n, nil
}
