package raw

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// File is the content of a raw copy. What Read returns is authentic bytes of some
// file of this store; that they are all of this one is known only when Read
// returns [io.EOF]. So nothing made from them may be committed before.
type File struct {
	f    *os.File
	r    io.Reader
	hash hash.Hash
	want Digest
	err  error
}

// Open returns the content with digest d, or [ErrNotFound]. The caller closes it.
func (s *Store) Open(d Digest) (*File, error) {
	f, err := os.Open(s.path(d))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("raw: open %s: %w", d, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("raw: open %s: %w", d, err)
	}
	r, err := s.cipher.NewDecryptingReader(f, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("raw: open %s: %w", d, ErrDamaged), f.Close())
	}
	return &File{f: f, r: r, hash: sha256.New(), want: d}, nil
}

// Read returns decrypted bytes. Its error is [io.EOF], [ErrDamaged] or one of the
// disk.
func (f *File) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.r.Read(p)
	_, _ = f.hash.Write(p[:n]) // a hash never fails
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		if Digest(f.hash.Sum(nil)) == f.want {
			f.err = io.EOF
			break
		}
		f.err = f.damaged()
	default:
		var path *os.PathError
		if errors.As(err, &path) {
			f.err = fmt.Errorf("raw: read %s: %w", f.want, err)
			break
		}
		f.err = f.damaged()
	}
	return n, f.err
}

func (f *File) damaged() error { return fmt.Errorf("raw: read %s: %w", f.want, ErrDamaged) }

// Close ends reading.
func (f *File) Close() error { return f.f.Close() }

// Verify reads the content with digest d to its end and returns nil if it is what
// was put, otherwise what [Store.Open] or [File.Read] returned.
func (s *Store) Verify(ctx context.Context, d Digest) error {
	f, err := s.Open(d)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, reader{ctx, f})
	return err
}
