package raw

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
)

// File is the content of a raw copy. What Read returns is authentic bytes of some
// file of this store; that they are all of this one is known only when Read
// returns [io.EOF]. So nothing made from them may be committed before.
type File struct {
	f    *stored
	r    io.Reader
	hash hash.Hash
	want Digest
	err  error
}

// Open returns the content with digest d, or [ErrNotFound]. The caller closes it. ctx
// holds until then.
func (s *Store) Open(ctx context.Context, d Digest) (*File, error) {
	lies, _, err := s.files.open(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("raw: open %s: %w", d, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("raw: open %s: %w", d, err)
	}
	f := &stored{ReadCloser: lies}
	r, err := s.cipher.NewDecryptingReader(f, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("raw: open %s: %w", d, f.because(ErrDamaged)), f.Close())
	}
	return &File{f: f, r: r, hash: sha256.New(), want: d}, nil
}

// stored is an encrypted file. It remembers why it cannot be read: a cipher takes some
// errors for the end of the file, which would make it a damaged one.
type stored struct {
	io.ReadCloser

	err error
}

func (f *stored) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// because returns why the file could not be read, or damaged if it could.
func (f *stored) because(damaged error) error { return cmp.Or(f.err, damaged) }

// Read returns decrypted bytes. Its error is [io.EOF], [ErrDamaged] or one of the
// disk or the bucket.
func (f *File) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.r.Read(p)
	_, _ = f.hash.Write(p[:n]) // a hash never fails
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && f.f.err == nil && Digest(f.hash.Sum(nil)) == f.want:
		f.err = io.EOF
	default:
		f.err = fmt.Errorf("raw: read %s: %w", f.want, f.f.because(ErrDamaged))
	}
	return n, f.err
}

// Close ends reading.
func (f *File) Close() error { return f.f.Close() }

// Verify reads the content with digest d to its end and returns nil if it is what
// was put, otherwise what [Store.Open] or [File.Read] returned.
func (s *Store) Verify(ctx context.Context, d Digest) error {
	f, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, reader{ctx, f})
	return err
}
